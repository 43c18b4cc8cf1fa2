"""What a provider's refusal means: its status and its own words, turned once into our failures."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from penstockd.models.providers.complaint import Complaint, complaint_of
from penstockd.models.providers.refusal_words import (
    CLOSED,
    CLOSED_WORDS,
    FILTER,
    FILTER_WORDS,
    QUOTA,
    QUOTA_WORDS,
    SAFETY_CHECK,
    SIZES,
    STATUSES,
    TOO_LONG,
    TOO_LONG_BEGINNINGS,
    TOO_LONG_WORDS,
)
from penstockd.models.providers.retry_hint import may_repeat, retry_hint
from penstockd.upstream import (
    INPUT_REFUSED,
    REDIRECT,
    SERVER_ERROR,
    STREAM_ERROR,
    Blocked,
    Broken,
    CoolingDown,
    Filtered,
    Misconfigured,
    QuotaSpent,
    Rejected,
    TooLong,
    UpstreamFailure,
)

_LABEL = re.compile(r"[\w.:/-]{1,64}", re.ASCII)
_MODEL = re.compile(r"\bmodel\b", re.IGNORECASE)
_OF_THE_REQUEST: Final = frozenset((400, 403, 413, 422, 424, 429))
"""The statuses that may be about the request, where labels and words say so."""


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, path: str, now: float) -> UpstreamFailure:
    """Classify a response that is no answer; `path` is what was asked for it, `now` wall-clock time."""
    said = _json(body)
    complaint = complaint_of(said)
    # A firewall's page, for example: whoever wrote it need not know our key.
    is_no_verdict = status == 403 and not said
    failure = Blocked("HTTP 403 without an error in JSON") if is_no_verdict else _classified(status, complaint, path)
    hint = retry_hint(headers, now)
    failure.retry_after = complaint.retry_after if hint is None else hint
    if (repeat := may_repeat(headers)) is not None and isinstance(failure, Broken | CoolingDown):
        failure.may_repeat = repeat
    return failure


def refusal_within(error: object) -> UpstreamFailure:
    """Classify an error, decoded from JSON, that came with or after a 200."""
    complaint = complaint_of(error)
    failure = _classified_within(complaint)
    failure.retry_after = complaint.retry_after
    if isinstance(failure, Broken):
        failure.reason = STREAM_ERROR
    return failure


def refusal_told(data: bytes) -> UpstreamFailure:
    """Classify the data of an event that is named an error: JSON, or words."""
    return refusal_within(_json(data) or data.decode(errors="replace"))


def _classified_within(complaint: Complaint) -> UpstreamFailure:
    known = (status for label, status in STATUSES.items() if label in complaint.labels)
    status = complaint.status or next(known, None)
    if status is not None:
        return _classified(status, complaint)
    return _of_the_request(None, complaint) or _classified(500, complaint)


def _classified(status: int, complaint: Complaint, path: str = "") -> UpstreamFailure:
    if status >= 500 or status in (408, 409, 425):
        return Broken(_labelled(status, complaint), reason=SERVER_ERROR)
    if status < 300:
        return Broken(_labelled(status, complaint), reason="malformed")
    if status < 400:
        return Broken(f"HTTP {status}: redirects are not followed", reason=REDIRECT)
    return _of_our_account(status, complaint) or _of_the_request(status, complaint) or _refused(status, complaint, path)


def _of_our_account(status: int, complaint: Complaint) -> UpstreamFailure | None:
    """What labels and words say about our account with it: no caller's affair, although a 400 may bring it."""
    message, labels = complaint.beginning, complaint.labels
    if words := QUOTA_WORDS.search(message):
        return QuotaSpent(f"HTTP {status}: {words[0]}")
    if status == 402 or labels & QUOTA:
        return QuotaSpent(_labelled(status, complaint))
    if words := CLOSED_WORDS.match(message):
        return Misconfigured(f"HTTP {status}: {words[0]}")
    if labels & CLOSED or "model_not_found" in labels:
        return Misconfigured(_labelled(status, complaint))
    return None


def _of_the_request(status: int | None, complaint: Complaint) -> UpstreamFailure | None:
    """What labels and words say about the request, where they say more than the status, or there is none."""
    if status is not None and status not in _OF_THE_REQUEST:
        return None
    message, labels = complaint.beginning, complaint.labels
    if labels & FILTER or FILTER_WORDS.match(message):
        return _filtered(status, complaint)
    if status == 403:
        return _filtered(status, complaint) if SAFETY_CHECK.search(message) else None
    if labels & TOO_LONG or TOO_LONG_BEGINNINGS.match(message):
        return TooLong(complaint.message)
    if status is not None and "request_too_large" not in labels and _is_about_size(message):
        return TooLong(complaint.message)
    return None


def _filtered(status: int | None, complaint: Complaint) -> Filtered:
    # With these it was the prompt, at the door.
    reason = INPUT_REFUSED if status in (403, 446) else None
    return Filtered(complaint.message or "no reason given", reason=reason)


def _refused(status: int, complaint: Complaint, path: str) -> UpstreamFailure:
    match status:
        case 401 | 403 | 407:
            return Misconfigured(_labelled(status, complaint))
        case 404 | 405:
            # It may be the path that nobody knows there, and not the model: then `base_url` is wrong.
            hint = ", it speaks of a model" if _MODEL.search(complaint.beginning) else ""
            return Misconfigured(_labelled(status, complaint, path) + hint)
        case 429 | 498:
            # 498 is Groq's for want of room (console.groq.com/docs/flex-processing).
            return CoolingDown(_labelled(status, complaint))
        case 424 | 499:
            # Bedrock's for a model that failed, and a proxy's for a caller who left: no verdict on the request.
            return Broken(_labelled(status, complaint), reason=SERVER_ERROR)
        case 446:
            # Portkey's and WSO2's for what their guardrails stop.
            return _filtered(status, complaint)
        case _:
            return Rejected(complaint.message or f"HTTP {status}")


def _is_about_size(message: str) -> bool:
    """Whether this one request is too large, by words or by a limit below what it requested."""
    if TOO_LONG_WORDS.search(message):
        return True
    sizes = SIZES.search(message)
    return sizes is not None and _tokens(sizes[2]) > _tokens(sizes[1])


def _tokens(digits: str) -> int:
    return int(digits.replace(",", "") or "0")


def _labelled(status: int, complaint: Complaint, path: str = "") -> str:
    """A message without the upstream's words, which may repeat our key or the prompt."""
    labels = ", ".join(sorted(filter(_LABEL.fullmatch, complaint.labels)))
    answer = f"HTTP {status} for {path}" if path else f"HTTP {status}"
    return f"{answer} ({labels or 'no reason given'})"


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
