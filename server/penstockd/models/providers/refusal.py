"""What a provider's refusal means: its status and its own words, turned once into our failures."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from penstockd.models.providers.complaint import Complaint, complaint_of
from penstockd.models.providers.retry_hint import may_repeat, retry_hint
from penstockd.upstream import (
    INPUT_REFUSED,
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
# "flagged_input" is what OpenRouter tells of it beside the words (openrouter.ai/docs/api-reference/errors).
_FILTER: Final = frozenset(
    ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "flagged_input")
)
_TOO_LONG: Final = frozenset(("context_length_exceeded", "exceed_context_size_error"))

# In this order: Anthropic's, DeepSeek's, Anthropic's spend limits, xAI's (429) and Fireworks' (412), Portkey's (412).
_QUOTA_WORDS = re.compile(
    r"credit balance is too low|insufficient balance"
    r"|reached your specified (workspace )?api usage limits(\. you will regain access on [\d-]+)?"
    r"|(used all available credits or )?reach(ed|ing) (its|the) monthly spending limit"
    r"|^(portkey error: )?budget exhausted",
    re.IGNORECASE,
)
# They begin a message: further on it may repeat what was asked. Why an account is closed reads otherwise.
_FILTER_WORDS = re.compile(
    r"(.*output blocked by )?content filtering policy"  # Anthropic, and who repeats it
    r"|content violates usage guidelines"  # xAI, with a 403
    r"|(your chosen model|[\w./:@-]{1,128}) requires moderation\b"  # OpenRouter, with a 403
    r"|invalid prompt: your prompt was flagged"  # OpenAI
    r"|(prompt|response) blocked due to",  # Cloudflare, with a 424
    re.IGNORECASE,
)
_SAFETY_CHECK = re.compile(r"safety_check_type_\w+", re.IGNORECASE)
"""What xAI names at the end of a 403 that is about a prompt."""
# Google's, Anthropic's, Google's, each with a 400. They begin a message: further on it may repeat what was asked.
_CLOSED_WORDS = re.compile(
    r"api key not valid|this organization has been disabled|user location is not supported", re.IGNORECASE
)
# Anywhere in a message, for there are many who repeat these. Limits of tokens a minute are told otherwise.
_TOO_LONG_WORDS = re.compile(
    r"prompt is too long"  # Anthropic
    r"|maximum context length"  # OpenAI, vLLM, SGLang, OpenRouter
    r"|exceeds? (the )?(available )?context"  # Anthropic, llama.cpp
    r"|request too large for"  # OpenAI, Groq
    r"|input token count .* exceeds"  # Google
    r"|long context requests",  # Anthropic
    re.IGNORECASE,
)
# These begin a message: further on it may repeat what was asked.
_TOO_LONG_BEGINNINGS = re.compile(
    r"this model's maximum prompt length is"  # xAI
    r"|input is too long for requested model"  # Bedrock
    r"|the (decoder |encoder )?prompt \([^)]*\) is longer than the maximum model length"  # vLLM
    r"|the prompt \([^)]*\) is too long to fit into the model"  # vLLM
    r"|you passed \d+ input tokens.*context length is only"  # vLLM
    r"|the input \(\d+ tokens\) is longer than the model's context length"  # SGLang
    r"|trying to keep the first \d+ tokens.*context length of only"  # LM Studio
    r"|context (size|length|window) (has been |was )?exceeded"  # LM Studio, llama.cpp
    r"|input validation error: `inputs` tokens \+ `max_new_tokens` must be"  # Hugging Face
    r"|input validation error: `inputs` must have less than"  # Hugging Face
    r"|too many tokens: total number of tokens in the prompt cannot exceed"  # Cohere
    r"|input tokens exceed the configured limit",  # OpenAI
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
_OF_THE_REQUEST: Final = frozenset((400, 403, 413, 422, 424, 429))
"""The statuses that may be about the request, where labels and words say so."""


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, path: str, now: float) -> UpstreamFailure:
    """Classify a response that is no answer; `path` is what was asked for it, `now` wall-clock time."""
    failure = _of_a_response(status, _json(body), path)
    failure.retry_after = retry_hint(headers, now)
    if (repeat := may_repeat(headers)) is not None and isinstance(failure, Broken | CoolingDown):
        failure.may_repeat = repeat
    return failure


def refusal_within(error: object) -> UpstreamFailure:
    """Classify an error, decoded from JSON, that came with or after a 200."""
    failure = _classified_within(complaint_of(error))
    if isinstance(failure, Broken):
        failure.reason = "stream_error"
    return failure


def _of_a_response(status: int, said: object, path: str) -> UpstreamFailure:
    if status == 403 and not said:
        # A firewall's page, for example: whoever wrote it need not know our key.
        return Blocked(f"HTTP {status} without an error in JSON")
    return _classified(status, complaint_of(said), path)


def _classified_within(complaint: Complaint) -> UpstreamFailure:
    known = (status for label, status in _STATUSES.items() if label in complaint.labels)
    status = complaint.status or next(known, None)
    if status is not None:
        return _classified(status, complaint)
    return _of_the_request(None, complaint) or _classified(500, complaint)


def _classified(status: int, complaint: Complaint, path: str = "") -> UpstreamFailure:
    if status >= 500 or status in (408, 409, 425):
        return Broken(_labelled(status, complaint), reason="server_error")
    if status < 300:
        return Broken(_labelled(status, complaint), reason="malformed")
    if status < 400:
        return Broken(f"HTTP {status}: redirects are not followed", reason="redirect")
    return _of_our_account(status, complaint) or _of_the_request(status, complaint) or _refused(status, complaint, path)


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


def _of_the_request(status: int | None, complaint: Complaint) -> UpstreamFailure | None:
    """What labels and words say about the request, where they say more than the status, or there is none."""
    if status is not None and status not in _OF_THE_REQUEST:
        return None
    message, labels = complaint.beginning, complaint.labels
    if labels & _FILTER or _FILTER_WORDS.match(message):
        return _filtered(status, complaint)
    if status == 403:
        return _filtered(status, complaint) if _SAFETY_CHECK.search(message) else None
    if labels & _TOO_LONG or _TOO_LONG_BEGINNINGS.match(message):
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
            return Misconfigured(_worded(status, complaint, path))
        case 429 | 498:
            # 498 is Groq's for want of room (console.groq.com/docs/flex-processing).
            return CoolingDown(_labelled(status, complaint))
        case 424 | 499:
            # Bedrock's for a model that failed, and a proxy's for a caller who left: no verdict on the request.
            return Broken(_labelled(status, complaint), reason="server_error")
        case 446:
            # Portkey's and WSO2's for what their guardrails stop.
            return _filtered(status, complaint)
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
