"""The periods in which budgets are counted, all of them in UTC."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

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
        return _bounds(self, unix_seconds // HOUR)[0]

    def end(self, unix_seconds: float) -> float | None:
        """When the period that holds this moment ends; None for all time."""
        return _bounds(self, unix_seconds // HOUR)[1]


@lru_cache(maxsize=64)
def _bounds(period: Period, hour: float) -> tuple[float, float | None]:
    """When the period that holds this hour, counted from 1970, begins and ends: asked at every attempt, seldom new."""
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
