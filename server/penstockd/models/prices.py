"""What well-known models cost, for those whose price the configuration does not give.

List prices in USD per million tokens, as OpenAI and Anthropic published them by 2025-09-01, and later ones when they
came. A price in the configuration always wins; check it against your contract.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from penstockd.model import Price

NANO_PER_USD = 1_000_000_000

_DATE = re.compile(r"-(latest|\d{8}|\d{4}-\d{2}-\d{2}|\d{4})\Z", re.ASCII)
"""How a name says which day's model of its family it means; any other number is another model's."""


def price(*, input: str, output: str, cached_input: str | None = None, cache_write: str | None = None) -> Price:  # noqa: A002
    """A price from USD per million tokens in decimal notation; cached tokens cost as input unless told otherwise."""
    return Price(
        input=nano_usd(Decimal(input)),
        cached_input=nano_usd(Decimal(cached_input or input)),
        cache_write=nano_usd(Decimal(cache_write or input)),
        output=nano_usd(Decimal(output)),
    )


def nano_usd(usd: Decimal) -> int:
    """The same amount in billionths of a US dollar, rounded to the nearest."""
    return int((usd * NANO_PER_USD).to_integral_value())


BUNDLED: Mapping[str, Price] = {
    "gpt-4": price(input="30", output="60"),
    "gpt-3.5-turbo": price(input="1", output="2"),
    "gpt-4o": price(input="2.5", cached_input="1.25", output="10"),
    "gpt-4o-mini": price(input="0.15", cached_input="0.075", output="0.6"),
    "gpt-4.1": price(input="2", cached_input="0.5", output="8"),
    "gpt-4.1-mini": price(input="0.4", cached_input="0.1", output="1.6"),
    "gpt-4.1-nano": price(input="0.1", cached_input="0.025", output="0.4"),
    "gpt-5": price(input="1.25", cached_input="0.125", output="10"),
    "gpt-5-mini": price(input="0.25", cached_input="0.025", output="2"),
    "gpt-5-nano": price(input="0.05", cached_input="0.005", output="0.4"),
    "claude-3-opus": price(input="15", cached_input="1.5", cache_write="18.75", output="75"),
    "claude-3-5-haiku": price(input="0.8", cached_input="0.08", cache_write="1", output="4"),
    "claude-3-7-sonnet": price(input="3", cached_input="0.3", cache_write="3.75", output="15"),
    "claude-sonnet-4": price(input="3", cached_input="0.3", cache_write="3.75", output="15"),
    "claude-sonnet-4-0": price(input="3", cached_input="0.3", cache_write="3.75", output="15"),
    "claude-sonnet-4-5": price(input="3", cached_input="0.3", cache_write="3.75", output="15"),
    "claude-opus-4": price(input="15", cached_input="1.5", cache_write="18.75", output="75"),
    "claude-opus-4-0": price(input="15", cached_input="1.5", cache_write="18.75", output="75"),
    "claude-opus-4-1": price(input="15", cached_input="1.5", cache_write="18.75", output="75"),
    "claude-opus-4-5": price(input="5", cached_input="0.5", cache_write="6.25", output="25"),
    "echo": price(input="0", output="0"),
}


def bundled(upstream_name: str) -> Price | None:
    """The bundled price of a model by its upstream name; a dated name such as gpt-4o-2024-08-06 is its family's."""
    return BUNDLED.get(upstream_name) or BUNDLED.get(_DATE.sub("", upstream_name))
