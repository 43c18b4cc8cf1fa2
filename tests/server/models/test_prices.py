"""Tokens cost what the lists say, to the billionth of a dollar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.model import Price
from penstockd.models.prices import BUNDLED, bundled
from penstockd.usage import Usage

MILLION = 1_000_000
USD = 1_000_000_000
COUNTS = st.integers(0, 10**7)


@pytest.mark.parametrize(
    ("name", "usage", "usd"),
    [
        ("gpt-4", Usage(uncached_input=MILLION, output=MILLION), 90),
        ("gpt-3.5-turbo", Usage(uncached_input=MILLION, output=MILLION), 3),
        ("claude-3-opus", Usage(uncached_input=MILLION, output=MILLION), 90),
        ("echo", Usage(uncached_input=MILLION, output=MILLION), 0),
        ("gpt-4o", Usage(cached_input=2 * MILLION), 2.5),
        ("claude-sonnet-4", Usage(cached_input=MILLION, cache_write_input=MILLION), 4.05),
    ],
)
def test_the_bundled_list_is_in_dollars_a_million(name: str, usage: Usage, usd: float) -> None:
    """Each bucket at its own price."""
    found = bundled(name)

    assert found is not None
    assert found.cost(usage) == usd * USD


def test_reasoning_is_paid_as_the_output_it_is_part_of() -> None:
    """Not twice."""
    assert BUNDLED["gpt-5"].cost(Usage(output=MILLION, reasoning=MILLION)) == 10 * USD


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4", "gpt-4"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
    ],
)
def test_a_dated_name_is_its_familys(name: str, family: str) -> None:
    """Dates and "latest" change no price."""
    assert bundled(name) is BUNDLED[family]


def test_a_later_model_has_a_price_of_its_own() -> None:
    """What its number is added to may cost three times as much."""
    newer, older = BUNDLED["claude-opus-4-5"], BUNDLED["claude-opus-4"]

    assert (newer.input, newer.cached_input, newer.cache_write, newer.output) == (
        5 * USD,
        USD // 2,
        6 * USD + USD // 4,
        25 * USD,
    )
    assert older.input == 15 * USD


UNKNOWN = ["", "llama", "gpt-4o-mini-audio", "gpt-4-turbo", "2024-08-06", "-", "-latest", "x-1"]
UNHEARD_OF = ["claude-opus-4-2", "claude-opus-4-2-20260101", "gpt-4-1", "gpt-4o-123456", "gpt-4o-2024-08", "gpt-4\n"]


@pytest.mark.parametrize("name", [*UNKNOWN, *UNHEARD_OF])
def test_an_unknown_name_has_no_price(name: str) -> None:
    """Rather none than a wrong one."""
    assert bundled(name) is None


def test_a_price_defaults_to_that_of_input() -> None:
    """Cached tokens cost as others where nobody says otherwise."""
    assert BUNDLED["gpt-4"] == Price(input=30 * USD, cached_input=30 * USD, cache_write=30 * USD, output=60 * USD)


@pytest.mark.parametrize("dearest", ["input", "cached_input", "cache_write"])
def test_the_most_that_tokens_may_cost_is_that_of_the_dearest_input(dearest: str) -> None:
    """Whichever that is, and rounded up; what was read of it already is no cheaper for certain."""
    tokens = {"input": 2, "cached_input": 2, "cache_write": 2, "output": 7, dearest: 5}
    usage = Usage(uncached_input=1, cached_input=1, cache_write_input=1, output=1)

    assert Price(**{kind: each * MILLION for kind, each in tokens.items()}).most(usage) == 3 * 5 + 7
    assert Price(**tokens).most(usage) == 1


def test_a_cost_is_rounded_up_once() -> None:
    """A part of a nano-dollar is one, but not one for each bucket."""
    tiny = Price(input=1, cached_input=1, cache_write=1, output=1)

    assert tiny.cost(Usage(uncached_input=1, cached_input=1, cache_write_input=1, output=1)) == 1
    assert tiny.cost(Usage()) == 0


@given(a=st.builds(Usage, uncached_input=COUNTS, output=COUNTS), b=st.builds(Usage, cached_input=COUNTS, output=COUNTS))
def test_the_cost_of_a_sum_is_the_sum_of_the_costs(a: Usage, b: Usage) -> None:
    """But for the rounding."""
    list_price = BUNDLED["claude-opus-4"]

    assert 0 <= list_price.cost(a) + list_price.cost(b) - list_price.cost(a + b) <= 1


def test_dollars_become_billionths_exactly() -> None:
    """What binary fractions cannot write is not off by one."""
    assert BUNDLED["gpt-4.1-nano"] == Price(
        input=100_000_000, cached_input=25_000_000, cache_write=100_000_000, output=400_000_000
    )
