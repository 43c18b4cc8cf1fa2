"""Numbers are written as people read them at a glance."""

import pytest

from penstock.cli import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0 µs"),
        (0.00074, "740 µs"),
        (0.0123, "12.3 ms"),
        (0.74, "740 ms"),
        (1.25, "1.25 s"),
        (83.4, "83.4 s"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    """Two or three digits of them."""
    assert figures.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(7.9, "7 s"), (64, "1 min 4 s"), (3840, "1 h 4 min"), (200_000, "2 d 7 h")]
)
def test_spans(value: float, text: str) -> None:
    """In their two largest units."""
    assert figures.span(value) == text


@pytest.mark.parametrize(
    ("nanousd", "text"), [(0, "$0.00"), (4_200_000, "$0.0042"), (1_256_000_000, "$1.26"), (10**13, "$10,000.00")]
)
def test_dollars(nanousd: int, text: str) -> None:
    """Cents, and more digits of what is less."""
    assert figures.dollars(nanousd) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (0, "0%"),
        (0.004, "0.4%"),
        (0.0799, "7.9%"),
        (0.0999, "9.9%"),
        (0.29, "29%"),
        (0.948, "94%"),
        (0.9999, "99%"),
        (1, "100%"),
        (2.5, "250%"),
    ],
)
def test_percents(part: float, text: str) -> None:
    """With a decimal where it tells something; what is nearly used up is not called used up."""
    assert figures.percent(part) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 B"), (34_567, "33.76 KiB"), (3 * 2**20, "3 MiB"), (2**41, "2048 GiB")]
)
def test_sizes(count: int, text: str) -> None:
    """In powers of 1024."""
    assert figures.size(count) == text


def test_sparklines() -> None:
    """The largest is as high as a line, what is not known is a gap, and nothing at all is flat."""
    assert figures.sparkline([0, 1, None, 7]) == "▁▂ █"
    assert figures.sparkline([0, 0]) == "▁▁"
    assert figures.sparkline([]) == ""
