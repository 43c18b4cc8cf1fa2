"""Durations are read and written for people."""

import pytest
from google.protobuf.duration_pb2 import Duration

from penstock import durations


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


@pytest.mark.parametrize(("seconds", "text"), [(0.0004, "0 ms"), (0.42, "420 ms"), (1.24, "1.2 s"), (90, "90.0 s")])
def test_a_duration_is_written_short(seconds: float, text: str) -> None:
    """Milliseconds below a second, tenths above."""
    assert durations.show(seconds) == text


def test_a_duration_comes_from_the_wire() -> None:
    """Seconds and nanoseconds add up."""
    assert durations.to_seconds(Duration(seconds=2, nanos=500_000_000)) == 2.5
