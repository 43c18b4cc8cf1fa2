"""Periods begin and end by the calendar in UTC."""

from datetime import datetime

import pytest

from penstockd.period import Period


def at(text: str) -> float:
    """The moment in unix seconds."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("period", "moment", "start", "end"),
    [
        (Period.HOUR, "2026-03-01T23:59:59.999Z", "2026-03-01T23:00Z", "2026-03-02T00:00Z"),
        (Period.HOUR, "2026-03-02T00:00:00Z", "2026-03-02T00:00Z", "2026-03-02T01:00Z"),
        (Period.DAY, "2024-02-29T12:00:00Z", "2024-02-29T00:00Z", "2024-03-01T00:00Z"),
        (Period.DAY, "2026-12-31T23:30:00-02:00", "2027-01-01T00:00Z", "2027-01-02T00:00Z"),
        (Period.MONTH, "2026-02-28T23:59:59Z", "2026-02-01T00:00Z", "2026-03-01T00:00Z"),
        (Period.MONTH, "2026-01-31T00:00:00Z", "2026-01-01T00:00Z", "2026-02-01T00:00Z"),
        (Period.MONTH, "2026-12-15T08:00:00Z", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
    ],
)
def test_a_period_holds_its_moment(period: Period, moment: str, start: str, end: str) -> None:
    """From its first second to the next one's first."""
    assert period.start(at(moment)) == at(start)
    assert period.end(at(moment)) == at(end)


def test_all_time_has_no_end() -> None:
    """And began with the clock."""
    assert Period.TOTAL.start(at("2026-02-28T23:59:59Z")) == 0.0
    assert Period.TOTAL.end(at("2026-02-28T23:59:59Z")) is None
