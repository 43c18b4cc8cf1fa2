"""The periods in which budgets are counted, all of them in UTC."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

HOUR = 3600.0
"""Seconds; every period begins and ends with one."""


class Period(StrEnum):
    """A calendar hour, day or month in UTC, or all time."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"

    def start(self, unix_seconds: float) -> float:
        """When the period that holds this moment began, in unix seconds; 0.0 for all time."""
        return self.span(unix_seconds).start

    def end(self, unix_seconds: float) -> float | None:
        """When the period that holds this moment ends; None for all time."""
        return self.span(unix_seconds).end

    def span(self, unix_seconds: float) -> "Span":
        """Return the period that holds this moment."""
        return _span(self, unix_seconds // HOUR)


class Span(Struct, frozen=True):
    """One period: its `start` and `end` as Period has them, and the `key` that tells it from all others."""

    start: float
    end: float | None
    key: str


@lru_cache(maxsize=64)
def _span(period: Period, hour: float) -> Span:
    """The period that holds this hour, counted from 1970: asked at every attempt, seldom new."""
    start, end = _bounds(period, hour)
    return Span(start, end, f"{period}:{start:.0f}")


def _bounds(period: Period, hour: float) -> tuple[float, float | None]:
    """When the period that holds this hour begins and ends."""
    moment = datetime.fromtimestamp(hour * HOUR, UTC)
    midnight = moment.replace(hour=0)
    match period:
        case Period.HOUR:
            return moment.timestamp(), (moment + timedelta(hours=1)).timestamp()
        case Period.DAY:
            return midnight.timestamp(), (midnight + timedelta(days=1)).timestamp()
        case Period.MONTH:
            first = midnight.replace(day=1)
            return first.timestamp(), (first.replace(day=28) + timedelta(days=4)).replace(day=1).timestamp()
        case Period.TOTAL:
            return 0.0, None
