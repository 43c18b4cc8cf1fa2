"""What well-known models cost, for those whose price the configuration does not give.

List prices in USD per million tokens, as OpenAI and Anthropic published them by 2025-09-01, and later ones when they
came. A price in the configuration always wins; check it against your contract.
"""

import re
from collections.abc import Mapping

from penstockd.model import Price

_DATE = re.compile(r"-(latest|\d{8}|\d{4}-\d{2}-\d{2}|\d{4})\Z", re.ASCII)
"""How a name says which day's model of its family it means; any other number is another model's."""


def _usd(*, input: float, output: float, cached_input: float | None = None, cache_write: float | None = None) -> Price:  # noqa: A002
    """A price in USD; what is read from a cache or written to it costs as input unless told otherwise."""
    kinds = {
        "input": input,
        "cached_input": input if cached_input is None else cached_input,
        "cache_write": input if cache_write is None else cache_write,
        "output": output,
    }
    return Price(**{kind: round(usd * 10**9) for kind, usd in kinds.items()})


BUNDLED: Mapping[str, Price] = {
    "gpt-4": _usd(input=30, output=60),
    "gpt-3.5-turbo": _usd(input=1, output=2),
    "gpt-4o": _usd(input=2.5, cached_input=1.25, output=10),
    "gpt-4o-mini": _usd(input=0.15, cached_input=0.075, output=0.6),
    "gpt-4.1": _usd(input=2, cached_input=0.5, output=8),
    "gpt-4.1-mini": _usd(input=0.4, cached_input=0.1, output=1.6),
    "gpt-4.1-nano": _usd(input=0.1, cached_input=0.025, output=0.4),
    "gpt-5": _usd(input=1.25, cached_input=0.125, output=10),
    "gpt-5-mini": _usd(input=0.25, cached_input=0.025, output=2),
    "gpt-5-nano": _usd(input=0.05, cached_input=0.005, output=0.4),
    "claude-3-opus": _usd(input=15, cached_input=1.5, cache_write=18.75, output=75),
    "claude-3-5-haiku": _usd(input=0.8, cached_input=0.08, cache_write=1, output=4),
    "claude-3-7-sonnet": _usd(input=3, cached_input=0.3, cache_write=3.75, output=15),
    "claude-sonnet-4": _usd(input=3, cached_input=0.3, cache_write=3.75, output=15),
    "claude-sonnet-4-0": _usd(input=3, cached_input=0.3, cache_write=3.75, output=15),
    "claude-sonnet-4-5": _usd(input=3, cached_input=0.3, cache_write=3.75, output=15),
    "claude-opus-4": _usd(input=15, cached_input=1.5, cache_write=18.75, output=75),
    "claude-opus-4-0": _usd(input=15, cached_input=1.5, cache_write=18.75, output=75),
    "claude-opus-4-1": _usd(input=15, cached_input=1.5, cache_write=18.75, output=75),
    "claude-opus-4-5": _usd(input=5, cached_input=0.5, cache_write=6.25, output=25),
    "echo": _usd(input=0, output=0),
}


def bundled(upstream_name: str) -> Price | None:
    """The bundled price of a model by its upstream name; a dated name such as gpt-4o-2024-08-06 is its family's."""
    return BUNDLED.get(upstream_name) or BUNDLED.get(_DATE.sub("", upstream_name))
