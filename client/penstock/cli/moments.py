"""Moments as people type them: a date, a time, or so long ago."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse(text: str) -> datetime:
    """Read `7d` (so long ago), `2026-11-01` or `2026-11-01T12:00`, in UTC unless it says otherwise."""
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"{text!r} is neither a date such as 2026-11-01 nor a time ago such as 7d") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
