"""The periods in which budgets are counted, all of them in UTC."""

from datetime import UTC, datetime, timedelta
from enum import Enum


class Period(Enum):
    """A calendar hour, day or month in UTC, or all time."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"

    def start(self, unix_seconds: float) -> float:
        """When the period that holds this moment began, in unix seconds; 0.0 for all time."""
        if self is Period.TOTAL:
            return 0.0
        moment = datetime.fromtimestamp(unix_seconds, UTC).replace(minute=0, second=0, microsecond=0)
        if self is not Period.HOUR:
            moment = moment.replace(hour=0)
        if self is Period.MONTH:
            moment = moment.replace(day=1)
        return moment.timestamp()

    def end(self, unix_seconds: float) -> float | None:
        """When the period that holds this moment ends; None for all time."""
        start = datetime.fromtimestamp(self.start(unix_seconds), UTC)
        match self:
            case Period.HOUR:
                return (start + timedelta(hours=1)).timestamp()
            case Period.DAY:
                return (start + timedelta(days=1)).timestamp()
            case Period.MONTH:
                return (start.replace(day=28) + timedelta(days=4)).replace(day=1).timestamp()
            case Period.TOTAL:
                return None
