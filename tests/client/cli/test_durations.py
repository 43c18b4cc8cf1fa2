"""Durations as people type them."""

import pytest

from penstock.cli import durations


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("2s", 2), ("1.5s", 1.5), ("10m", 600), ("24h", 86400), (" 30 ", 30)]
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Units are those of the daemon's configuration; a plain number is seconds."""
    assert durations.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "ten", "1 0s", "inf", "nan"])
def test_what_is_no_duration_is_said(text: str) -> None:
    """The error shows what one looks like."""
    with pytest.raises(ValueError, match="250ms"):
        durations.parse(text)
