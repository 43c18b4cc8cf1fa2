"""Durations as people type them."""

import re

_GRAMMAR = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def parse(text: str) -> float:
    """Read `250ms`, `2s`, `10m`, `24h` or plain seconds; raise ValueError for anything else."""
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 250ms, 2s, 10m or 24h")
    return float(match[1]) * _SECONDS[match[2]]
