"""When a provider says that it may be asked again."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

ABSURD = 31 * 86400.0
"""Seconds from which on a hint says more about the provider's clock than about its load."""
_RETRY_INFO = "google.rpc.RetryInfo"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)


def retry_hint(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by `retry-after-ms`, else by `retry-after` (RFC 9110, 10.2.3), or None without a sensible one.

    A date is compared with `now`, wall-clock time, and with the response's own (6.6.1), which may be of the provider's
    clock or of a cache's: the sooner of the two counts.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None and _is_sensible(milliseconds / 1000):
        return milliseconds / 1000
    said = headers.get("retry-after", "")
    seconds = _number(said)
    if seconds is not None:
        return seconds if _is_sensible(seconds) else None
    if (until := _moment(said)) is None:
        return None
    shown = _moment(headers.get("date", ""))
    waits = (until - moment for moment in (now, shown) if moment is not None)
    return min(filter(_is_sensible, waits), default=None)


def retry_delay(details: object) -> float | None:
    """Seconds to wait by the RetryInfo among the `details` of an error of Google's, or None without a sensible one.

    They come in JSON (google/rpc/error_details.proto), a duration as in "34.5s".
    """
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type")).endswith(_RETRY_INFO):
            seconds = _number(str(detail.get("retryDelay")).removesuffix("s"))
            return seconds if seconds is not None and _is_sensible(seconds) else None
    return None


def may_repeat(headers: Mapping[str, str]) -> bool | None:
    """What `x-should-retry` says, or None if it is silent."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _is_sensible(seconds: float) -> bool:
    return 0 <= seconds <= ABSURD


def _number(text: str) -> float | None:
    # What stands around it is not left to float(), which knows fewer blanks.
    number = text.strip()
    return float(number) if _NUMBER.fullmatch(number) else None


def _moment(date: str) -> float | None:
    """By any form of RFC 9110, 5.6.7: a date that names no zone is in UTC, as asctime's always is."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
