"""What a provider's refusal means: its status and its own words, turned once into our failures."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from penstockd.models.providers.retry_hint import may_repeat, retry_hint
from penstockd.upstream import (
    Broken,
    CoolingDown,
    Filtered,
    Misconfigured,
    QuotaSpent,
    Rejected,
    TooLong,
    UpstreamFailure,
)

MAX_MESSAGE = 300
"""Characters of an upstream's message that are passed on."""
MOST_READ = 16 << 10
"""Characters that are read of it: who cuts it masks it first, and needs all of a secret as long as a header may be."""

# "blocked_api_access" is Groq's for a spend limit (console.groq.com/docs/spend-limits).
_QUOTA: Final = frozenset(
    (
        "insufficient_quota",
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "blocked_api_access",
    )
)
_CLOSED: Final = frozenset(("invalid_api_key", "organization_restricted", "access_terminated"))
_FILTER: Final = frozenset(("content_filter", "content_policy_violation", "responsibleaipolicyviolation"))
_TOO_LONG: Final = frozenset(("context_length_exceeded", "exceed_context_size_error"))

# In this order: Anthropic's, DeepSeek's, Anthropic's spend limits, xAI's (429) and Fireworks' (412).
_QUOTA_WORDS = re.compile(
    r"credit balance is too low|insufficient balance"
    r"|reached your specified (workspace )?api usage limits(\. you will regain access on [\d-]+)?"
    r"|(used all available credits or )?reach(ed|ing) (its|the) monthly spending limit",
    re.IGNORECASE,
)
_FILTER_WORDS = re.compile(r"content filtering policy", re.IGNORECASE)
# Google's, Anthropic's, Google's, each with a 400. They begin a message: further on it may repeat what was asked.
_CLOSED_WORDS = re.compile(
    r"api key not valid|this organization has been disabled|user location is not supported", re.IGNORECASE
)
_TOO_LONG_WORDS = re.compile(
    r"prompt is too long|maximum context length|exceeds? (the )?(available )?context|request too large for"
    r"|input token count .* exceeds|long context requests",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[\w.:/-]{1,64}", re.ASCII)
_SIZES = re.compile(r"limit:? ([\d,]+).*requested:? ([\d,]+)", re.IGNORECASE | re.DOTALL)

_STATUSES: Final = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "server_error": 500,
}
"""The HTTP status that an error type or code has when it comes before the stream and not inside it."""


class Complaint(Struct, frozen=True):
    """What an upstream says went wrong: its words, its labels in lower case, and a status if one is among them."""

    message: str
    labels: frozenset[str]
    status: int | None = None

    @property
    def beginning(self) -> str:
        """Where the words stand that tell something; a search through all of them may take long."""
        return self.message[:MAX_MESSAGE]


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, path: str, now: float) -> UpstreamFailure:
    """Classify a response that is no answer; `path` is what was asked for it, `now` wall-clock time."""
    failure = _classified(status, _complaint(_json(body)), path)
    failure.retry_after = retry_hint(headers, now)
    if (repeat := may_repeat(headers)) is not None and isinstance(failure, Broken | CoolingDown):
        failure.may_repeat = repeat
    return failure


def refusal_within(error: object) -> UpstreamFailure:
    """Classify an error, decoded from JSON, that came with or after a 200."""
    complaint = _complaint(error)
    known = (status for label, status in _STATUSES.items() if label in complaint.labels)
    failure = _classified(complaint.status or next(known, 500), complaint)
    if isinstance(failure, Broken):
        failure.reason = "stream_error"
    return failure


def _classified(status: int, complaint: Complaint, path: str = "") -> UpstreamFailure:
    if status >= 500 or status in (408, 409, 425):
        return Broken(_labelled(status, complaint), reason="server_error")
    if status < 300:
        return Broken(_labelled(status, complaint), reason="malformed")
    if status < 400:
        return Broken(f"HTTP {status}: redirects are not followed", reason="redirect")
    return _of_our_account(status, complaint) or _of_the_request(complaint) or _refused(status, complaint, path)


def _of_our_account(status: int, complaint: Complaint) -> UpstreamFailure | None:
    """What labels and words say about our account with it: no caller's affair, although a 400 may bring it."""
    message, labels = complaint.beginning, complaint.labels
    if status == 402 or labels & _QUOTA:
        return QuotaSpent(_worded(status, complaint))
    if words := _QUOTA_WORDS.search(message):
        return QuotaSpent(f"HTTP {status}: {words[0]}")
    if words := _CLOSED_WORDS.match(message):
        return Misconfigured(f"HTTP {status}: {words[0]}")
    if labels & _CLOSED:
        return Misconfigured(_labelled(status, complaint))
    if "model_not_found" in labels:
        return Misconfigured(_worded(status, complaint))
    return None


def _of_the_request(complaint: Complaint) -> UpstreamFailure | None:
    """What labels and words say about the request, where they say more than the status."""
    message, labels = complaint.beginning, complaint.labels
    if labels & _FILTER or _FILTER_WORDS.search(message):
        return Filtered(complaint.message)
    if labels & _TOO_LONG or ("request_too_large" not in labels and _is_about_size(message)):
        return TooLong(complaint.message)
    return None


def _refused(status: int, complaint: Complaint, path: str) -> UpstreamFailure:
    match status:
        case 401 | 403 | 407:
            return Misconfigured(_labelled(status, complaint))
        case 404 | 405:
            # It may be the path that nobody knows there, and not the model: then `base_url` is wrong.
            return Misconfigured(_worded(status, complaint, path))
        case 429:
            return CoolingDown(_labelled(status, complaint))
        case _:
            return Rejected(complaint.message or f"HTTP {status}")


def _is_about_size(message: str) -> bool:
    """Whether this one request is too large, by words or by a limit below what it requested."""
    if _TOO_LONG_WORDS.search(message):
        return True
    sizes = _SIZES.search(message)
    return sizes is not None and _tokens(sizes[2]) > _tokens(sizes[1])


def _tokens(digits: str) -> int:
    return int(digits.replace(",", "") or "0")


def _labelled(status: int, complaint: Complaint, path: str = "") -> str:
    """A message without the upstream's words, which may repeat our key or the prompt."""
    labels = ", ".join(sorted(filter(_LABEL.fullmatch, complaint.labels)))
    return f"{_answer(status, path)} ({labels or 'no reason given'})"


def _worded(status: int, complaint: Complaint, path: str = "") -> str:
    """A message in the upstream's words, where they are about our account with it."""
    return f"{_answer(status, path)}: {complaint.message}" if complaint.message else _labelled(status, complaint, path)


def _answer(status: int, path: str) -> str:
    return f"HTTP {status} for {path}" if path else f"HTTP {status}"


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


def _complaint(said: object) -> Complaint:
    """Read what OpenAI, Anthropic and servers compatible with either say, however they nest it."""
    if isinstance(said, list):
        said = said[0] if said else None
    if isinstance(said, dict) and said.get("error"):
        said = said["error"]
    if isinstance(said, str):
        return Complaint(_clean(said), frozenset())
    if not isinstance(said, dict):
        return Complaint("", frozenset())
    code = said.get("code")
    labels = frozenset(_clean(label).lower() for label in (said.get("type"), code) if label and isinstance(label, str))
    message = said.get("message") or said.get("detail")
    return Complaint(
        _clean(message) if isinstance(message, str) else "",
        labels,
        code if isinstance(code, int) and 400 <= code < 600 else None,
    )


def _clean(text: str) -> str:
    return "".join(letter for letter in text[:MOST_READ] if letter.isprintable())
