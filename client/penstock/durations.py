"""Durations, which are seconds as float everywhere but on the wire and before people."""

import re

from google.protobuf.duration_pb2 import Duration

_GRAMMAR = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def parse(text: str) -> float:
    """Read `250ms`, `2s`, `10m`, `24h` or plain seconds; raise ValueError for anything else."""
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 250ms, 2s, 10m or 24h")
    return float(match[1]) * _SECONDS[match[2]]


def show(seconds: float) -> str:
    """Write `seconds` for people: `420 ms`, `1.2 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s"


def to_seconds(duration: Duration) -> float:
    """Return a protobuf duration in seconds."""
    return duration.seconds + duration.nanos / 1e9
