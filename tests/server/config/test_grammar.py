"""Durations, sizes, rates and money are read exactly and shown as they are read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.config.errors import Mistake
from penstockd.config.grammar import (
    RateSetting,
    parse_duration,
    parse_rate,
    parse_size,
    parse_usd,
    show_duration,
    show_size,
    show_usd,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("0.2s", 0.2), ("2s", 2), ("10m", 600), ("24h", 86400), ("400d", 34_560_000), (0, 0), ("0", 0)],
)
def test_durations_are_seconds(text: object, seconds: float) -> None:
    """Each unit counts as it should, and nothing needs no unit."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [
        (30, "30s"),
        (0.5, None),
        ("15", "15s"),
        ("5 s", None),
        ("-1s", None),
        ("1h30m", None),
        (False, None),
        ("1e3s", None),
    ],
)
def test_a_duration_needs_a_unit(value: object, suggestion: str | None) -> None:
    """A plain number is refused with the seconds it may have meant."""
    with pytest.raises(Mistake, match=r"must be a duration such as .* or 400d") as raised:
        parse_duration(value)

    assert raised.value.suggestion == suggestion


@given(st.integers(1, 10**12).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_reads_back_as_it_was_shown(seconds: float) -> None:
    """Showing loses nothing."""
    assert parse_duration(show_duration(seconds)) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0s"), (0.0005, "0.5ms"), (1.5, "1.5s"), (5400.0, "90m")])
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    """People see short numbers."""
    assert show_duration(seconds) == text


@given(st.integers(0, 2**50))
def test_a_size_reads_back_as_it_was_shown(size: int) -> None:
    """Showing loses nothing."""
    assert parse_size(show_size(size)) == size


@pytest.mark.parametrize(("value", "size"), [("4MiB", 2**22), ("3B", 3), ("2GiB", 2**31), (4096, 4096)])
def test_sizes_are_bytes(value: object, size: int) -> None:
    """Each unit counts as it should, and a plain number is bytes."""
    assert parse_size(value) == size


@pytest.mark.parametrize(("value", "suggestion"), [("256MB", "256MiB"), ("4k", "4KiB"), (True, None), ("lots", None)])
def test_a_size_has_a_binary_unit(value: object, suggestion: str | None) -> None:
    """Decimal megabytes are refused with the unit they may have meant."""
    with pytest.raises(Mistake, match="must be a size") as raised:
        parse_size(value)

    assert raised.value.suggestion == suggestion


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", RateSetting(10, 1)),
        ("600/m", RateSetting(600, 60)),
        ("100/h", RateSetting(100, 3600)),
        ("1000/d", RateSetting(1000, 86400)),
    ],
)
def test_rates_are_counts_a_period(text: str, rate: RateSetting) -> None:
    """Each period counts as it should, and the rate prints as it was written."""
    assert parse_rate(text) == rate
    assert str(rate) == text


def test_a_rate_has_an_average() -> None:
    """What a token bucket needs."""
    assert parse_rate("600/m").per_second == 10


@pytest.mark.parametrize(("value", "suggestion"), [("0/s", None), (600, "600/m"), ("10/w", None), ("1.5/s", None)])
def test_a_rate_has_a_count_and_a_period(value: object, suggestion: str | None) -> None:
    """What is no rate is refused."""
    with pytest.raises(Mistake, match="must be a rate") as raised:
        parse_rate(value)

    assert raised.value.suggestion == suggestion


@given(st.integers(0, 10**15))
def test_money_reads_back_as_it_was_shown(nano: int) -> None:
    """No amount is rounded on its way through a file."""
    assert parse_usd(show_usd(nano)) == nano


@pytest.mark.parametrize(("value", "nano"), [(0.15, 150_000_000), ("0.075", 75_000_000), (3, 3 * 10**9), (0, 0)])
def test_money_is_whole_nano_usd(value: object, nano: int) -> None:
    """Decimals are counted exactly."""
    assert parse_usd(value) == nano


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "not negative"),
        ("0.0000000001", "at most 9 decimals"),
        ("$3", "such as 0.15"),
        (True, "such as 0.15"),
        (float("inf"), "such as 0.15"),
        ([3], "such as 0.15"),
    ],
)
def test_what_is_no_amount_is_refused(value: object, message: str) -> None:
    """Neither debts nor fractions of a nano-USD are prices."""
    with pytest.raises(Mistake, match=re.escape(message)):
        parse_usd(value)
