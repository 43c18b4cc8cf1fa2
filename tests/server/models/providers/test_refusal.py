"""What providers say when they refuse is classified once."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.models.providers.complaint import MOST_READ
from penstockd.models.providers.refusal import refusal, refusal_within
from penstockd.upstream import (
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


def openai(message: str = "No.", kind: str = "", code: str | int | None = None) -> bytes:
    """An error as OpenAI writes it."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def anthropic(kind: str, message: str = "No.") -> bytes:
    """An error as Anthropic writes it."""
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


def cloudflare(code: int, message: str) -> bytes:
    """An error as Cloudflare's gateway writes it (developers.cloudflare.com/ai-gateway/features/guardrails)."""
    return msgspec.json.encode({"success": False, "error": [{"code": code, "message": message}]})


def openrouter(**metadata: object) -> bytes:
    """A 403 as OpenRouter writes it."""
    return msgspec.json.encode({"error": {"message": "No.", "code": 403, "metadata": metadata}})


TPM = "Rate limit reached for gpt-4 on tokens per min (TPM): Limit 10000, Used 9000, Requested 3000. Try again in 12s."
TPM_TOO_LARGE = "Request too large for gpt-4 on tokens per min (TPM): Limit 10000, Requested 12000."
TPM_LARGER = "Tokens per minute: Limit: 10,000, requested: 12,000."
ANTHROPIC_LIMIT = "You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC."
ANTHROPIC_WORKSPACE = ANTHROPIC_LIMIT.replace("API", "workspace API")
ANTHROPIC_CLOSED = "This organization has been disabled."
XAI_LIMIT = "Your team 16f2 has either used all available credits or reached its monthly spending limit. Pay."
FIREWORKS_LIMIT = "Account acme is suspended, possibly due to reaching the monthly spending limit or debts."
GOOGLE_PLACE = b'[{"error": {"code": 400, "message": "User location is not supported for the API use."}}]'
GROQ_CLOSED = "Organization has been restricted. Please reach out to support if you believe this was in error."
XAI_FLAGGED = msgspec.json.encode(
    {
        "code": "The caller does not have permission to execute the specified operation",
        "error": "Content violates usage guidelines. Team: 16f2, Model: grok-4, Failed check: SAFETY_CHECK_TYPE_BIO",
    }
)
OPENAI_LONG = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (500, b"", Broken, "server_error"),
        (502, b"<html>Bad gateway</html>", Broken, "server_error"),
        (503, openai("Overloaded", "server_error"), Broken, "server_error"),
        (529, anthropic("overloaded_error", "Overloaded"), Broken, "server_error"),
        (408, b"", Broken, "server_error"),
        (204, b"", Broken, "malformed"),
        (301, b"", Broken, "redirect"),
        (307, b"", Broken, "redirect"),
        (401, openai("Incorrect API key", "invalid_request_error", "invalid_api_key"), Misconfigured, "misconfigured"),
        (401, anthropic("authentication_error"), Misconfigured, "misconfigured"),
        (403, anthropic("permission_error"), Misconfigured, "misconfigured"),
        (404, openai("No such model", code="model_not_found"), Misconfigured, "misconfigured"),
        (404, anthropic("not_found_error", "model: claude-0"), Misconfigured, "misconfigured"),
        (404, b'{"error": "model \\"x\\" not found"}', Misconfigured, "misconfigured"),
        (405, b'{"detail": "Method Not Allowed"}', Misconfigured, "misconfigured"),
        (400, b'[{"error": {"code": 400, "message": "API key not valid."}}]', Misconfigured, "misconfigured"),
        (429, openai(TPM, "tokens", "rate_limit_exceeded"), CoolingDown, "rate_limited"),
        (429, anthropic("rate_limit_error"), CoolingDown, "rate_limited"),
        (429, b"slow down", CoolingDown, "rate_limited"),
        (429, openai("You exceeded your quota", "insufficient_quota", "insufficient_quota"), QuotaSpent, None),
        (
            400,
            anthropic("invalid_request_error", "Your credit balance is too low to access the API."),
            QuotaSpent,
            None,
        ),
        (402, b'{"error": {"message": "Insufficient Balance"}}', QuotaSpent, "insufficient_quota"),
        (400, anthropic("invalid_request_error", ANTHROPIC_LIMIT), QuotaSpent, None),
        (400, anthropic("invalid_request_error", ANTHROPIC_WORKSPACE), QuotaSpent, None),
        (400, openai("Billing hard limit", "invalid_request_error", "billing_hard_limit_reached"), QuotaSpent, None),
        (400, openai("API calls are blocked", "invalid_request_error", "blocked_api_access"), QuotaSpent, None),
        (429, msgspec.json.encode({"code": "Too many", "error": XAI_LIMIT}), QuotaSpent, None),
        (412, openai(FIREWORKS_LIMIT, "error", "PRECONDITION_FAILED"), QuotaSpent, None),
        (400, anthropic("invalid_request_error", ANTHROPIC_CLOSED), Misconfigured, None),
        (400, openai(GROQ_CLOSED, "invalid_request_error", "organization_restricted"), Misconfigured, None),
        (400, openai("Your access was terminated", "access_terminated"), Misconfigured, None),
        (400, GOOGLE_PLACE, Misconfigured, None),
        (400, openai(f"stop: not {ANTHROPIC_CLOSED}", "invalid_request_error"), Rejected, None),
        (429, openai(TPM_TOO_LARGE, "tokens", "rate_limit_exceeded"), TooLong, "context_too_long"),
        (429, openai(TPM_LARGER), TooLong, "context_too_long"),
        (413, openai(TPM_TOO_LARGE, "tokens", "rate_limit_exceeded"), TooLong, "context_too_long"),
        (400, openai(OPENAI_LONG, "invalid_request_error", "context_length_exceeded"), TooLong, None),
        (400, b'{"object": "error", "message": "' + OPENAI_LONG.encode() + b'", "code": 400}', TooLong, None),
        (400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), TooLong, None),
        (413, anthropic("request_too_large", "Request too large for us"), Rejected, "rejected"),
        (400, anthropic("invalid_request_error", "messages: required"), Rejected, "rejected"),
        (400, openai("Unsupported parameter", "invalid_request_error"), Rejected, "rejected"),
        (422, b'{"detail": [{"loc": ["body"], "msg": "field required"}]}', Rejected, "rejected"),
        (406, b"<html>Not Acceptable</html>", Rejected, "rejected"),
        # No verdict on the request: Bedrock's model failed, somebody in between left.
        (424, openai("The model failed", "model_error"), Broken, "server_error"),
        (499, openai("Client closed request"), Broken, "server_error"),
        (498, openai("Flex tier capacity exceeded", "capacity_exceeded"), CoolingDown, "rate_limited"),
        # All else is about the request, and no reason to keep others from the model.
        *((status, b"", Rejected, "rejected") for status in (410, 411, 412, 414, 415, 417, 418, 428, 431, 451, 460)),
        (412, b'{"error": {"message": "Portkey Error: Budget exhausted"}}', QuotaSpent, None),
        (412, b'{"error": {"message": "Budget exhausted"}}', QuotaSpent, None),
        (400, openai("input='Budget exhausted'"), Rejected, None),
        (446, openai("The guardrail checks failed.", "hooks_failed"), Filtered, "input_refused"),
        (446, b'{"code": "900514", "type": "Status report", "message": {"a": 1}}', Filtered, "input_refused"),
        (446, b"", Filtered, "input_refused"),
        (424, cloudflare(2016, "Prompt blocked due to security configurations"), Filtered, None),
        (424, cloudflare(2017, "Response blocked due to security configurations"), Filtered, None),
        (424, cloudflare(2009, "Unauthorized"), Broken, "server_error"),
        (400, openai("Filtered", code="content_filter"), Filtered, "content_filter"),
        (400, openai("Filtered", code="content_policy_violation"), Filtered, "content_filter"),
        (400, openai("Filtered", code="ResponsibleAIPolicyViolation"), Filtered, "content_filter"),
        (400, anthropic("invalid_request_error", "Output blocked by content filtering policy"), Filtered, None),
        (400, openai("Anthropic says: Output blocked by content filtering policy"), Filtered, None),
        (400, openai("Invalid prompt: your prompt was flagged", "invalid_request_error"), Filtered, None),
        (403, openai("Your chosen model requires moderation and your input was flagged"), Filtered, "input_refused"),
        (403, openai("openai/gpt-5:free requires moderation on OpenRouter."), Filtered, "input_refused"),
        (403, openrouter(reasons=["violence"], flagged_input="hello"), Filtered, "input_refused"),
        (403, openrouter(reasons=["violence"]), Filtered, "input_refused"),
        (403, openrouter(flagged_input="hello"), Filtered, "input_refused"),
        (403, openrouter(reasons=[], flagged_input=None), Misconfigured, None),
        (403, openrouter(error_type="content_policy_violation"), Filtered, "input_refused"),
        (403, openrouter(error_type="forbidden", provider_name="x"), Misconfigured, None),
        (403, XAI_FLAGGED, Filtered, "input_refused"),
        (403, XAI_FLAGGED.replace(b"Content violates", b"It is against"), Filtered, "input_refused"),
        (400, XAI_FLAGGED.replace(b"Content violates", b"It is against"), Rejected, None),
        (403, b'{"error": "Content violates usage guidelines. "}', Filtered, "input_refused"),
        (403, b'{"code": "permission-denied", "error": "Access to the chat endpoint is denied"}', Misconfigured, None),
        (403, openai("Your account was closed for violating our usage policies"), Misconfigured, None),
        # Who says nothing of what is wrong may be a firewall, which does not know our key.
        (403, b"", Blocked, "blocked"),
        (403, b"{}", Blocked, "blocked"),
        (403, b"Forbidden", Blocked, "blocked"),
        (403, b"<html>Sorry, you have been blocked</html>", Blocked, "blocked"),
        (401, b"<html>Unauthorized</html>", Misconfigured, None),
    ],
)
def test_a_status_and_its_words_have_one_meaning(
    status: int, body: bytes, kind: type[UpstreamFailure], reason: str | None
) -> None:
    """Every status and error body of either provider becomes exactly one failure."""
    failure = refusal(status, {}, body, path="/v1/messages", now=0.0)

    assert type(failure) is kind
    assert failure.reason == (reason or kind.reason)
    assert failure.retry_after is None
    assert failure.may_repeat is kind.may_repeat


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Input is too long for requested model.",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that it is not.",
        "The encoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that it is not.",
        "The prompt (length 5000) is longer than the maximum model length of 4096.",
        "The prompt (total length 5000) is too long to fit into the model (context length 4096).",
        "You passed 5001 input tokens. However, the model's context length is only 4096 tokens.",
        "You passed 5001 input tokens and requested 9 output tokens. But the model's context length is only 4096.",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "Trying to keep the first 5000 tokens. However, the model is loaded with context length of only 4096 tokens.",
        "Context size has been exceeded.",
        "Context length was exceeded",
        "context window exceeded: 5000 tokens",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
        "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
    ],
)
def test_every_server_says_in_its_own_words_that_a_request_is_too_long(message: str) -> None:
    """Another model may take it, so that it is not the same as a rejection."""
    for body in (openai(message, "invalid_request_error"), msgspec.json.encode({"error": message})):
        assert type(refusal(400, {}, body, path="/v1/messages", now=0.0)) is TooLong
    assert type(refusal_within(message)) is TooLong


@pytest.mark.parametrize(
    "message",
    [
        "Requested token count exceeds the model's maximum context length of 4096 tokens.",
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        "litellm says: prompt is too long: 5000 tokens > 4096 maximum",
        "input length and `max_tokens` exceed context limit: 5000 + 100 > 4096",
        "The input token count (5000) exceeds the maximum number of tokens allowed (4096).",
        "Extra usage is required for long context requests.",
    ],
)
def test_a_status_lets_words_that_many_repeat_stand_anywhere(message: str) -> None:
    """Without one they may be an echo of what failed."""
    assert type(refusal(400, {}, openai(message), path="/v1/messages", now=0.0)) is TooLong
    assert type(refusal_within(message)) is Broken


@pytest.mark.parametrize(
    "prompt",
    [
        "content violates usage guidelines",
        "my input was flagged",
        "output was flagged",
        "my prompt was flagged",
        "invalid prompt: your prompt was flagged",
        "x requires moderation",
        "prompt blocked due to security configurations",
        "the input is too long for requested model",
        "the prompt is longer than the maximum model length",
        "context window exceeded",
        "tokens in the prompt cannot exceed 5",
        "this model's maximum prompt length is 5",
    ],
)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Rejected), (401, Misconfigured), (403, Misconfigured), (404, Misconfigured), (429, CoolingDown)],
)
def test_what_was_asked_does_not_choose_what_it_means(status: int, kind: type[UpstreamFailure], prompt: str) -> None:
    """Some repeat it in what they complain of."""
    message = f"invalid: input={prompt!r}"

    assert type(refusal(status, {}, openai(message), path="/v1/messages", now=0.0)) is kind
    assert type(refusal_within(message)) is Broken
    assert type(refusal_within({"type": "internal_error", "message": message})) is Broken


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("prompt", ["limit 1 requested 2", "prompt is too long", "SAFETY_CHECK_TYPE_ of a policy"])
def test_what_is_about_our_key_is_about_no_size(status: int, prompt: str) -> None:
    """Whatever it repeats."""
    for message in (f"invalid: input={prompt!r}", prompt):
        assert type(refusal(status, {}, openai(message), path="/v1/messages", now=0.0)) is Misconfigured
        assert type(refusal_within(message)) is Broken


@pytest.mark.parametrize("label", ["content_filter", "context_length_exceeded"])
def test_a_status_that_is_about_no_request_outweighs_labels(label: str) -> None:
    """They are asked where it can be the request."""
    assert type(refusal(401, {}, openai(code=label), path="/v1/messages", now=0.0)) is Misconfigured


@pytest.mark.parametrize(
    "message",
    [
        TPM,
        "Too many tokens, please wait before trying again.",
        "This request would exceed your organization's rate limit of 40,000 input tokens a minute. Reduce its length.",
        "Please reduce the prompt length or the maximum tokens requested, or try again later.",
        "Number of request tokens has exceeded your per-minute rate limit",
        "Quota exceeded for metric: generate_content_free_tier_input_token_count, limit: 250000",
        "Rate limit exceeded: too many input tokens in the last minute, prompt length 5000",
    ],
)
def test_a_rate_of_tokens_is_no_size(message: str) -> None:
    """It passes by waiting."""
    assert type(refusal(429, {}, openai(message), path="/v1/messages", now=0.0)) is CoolingDown


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_hints_travel_with_the_failure(status: int) -> None:
    """A 429 and a 5xx carry the delay, and whether the provider wants a repeat."""
    failure = refusal(status, {"retry-after": "7", "x-should-retry": "false"}, b"", path="/v1/messages", now=0.0)

    assert failure.retry_after == 7.0
    assert failure.may_repeat is False


GOOGLE_RATE = {
    "code": 429,
    "message": "You exceeded your current quota, please check your plan and billing details. For more, head to: "
    "https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: "
    "generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 10, model: gemini-2.5-flash\n"
    "Please retry in 34.074824224s.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{"description": "Learn more", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}],
        },
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "10"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
    ],
}


@pytest.mark.parametrize("said", [[{"error": GOOGLE_RATE}], {"error": GOOGLE_RATE}], ids=["in a list", "bare"])
@pytest.mark.parametrize(("headers", "delay"), [({}, 34.0), ({"retry-after": "7"}, 7.0), ({"retry-after": "x"}, 34.0)])
def test_a_delay_that_only_the_body_says_is_a_hint_too(said: object, headers: dict[str, str], delay: float) -> None:
    """Google sends it so, and no header; what a header says comes first."""
    failure = refusal(429, headers, msgspec.json.encode(said), path="/chat/completions", now=0.0)

    assert (type(failure), failure.retry_after) == (CoolingDown, delay)


def test_a_delay_comes_with_an_error_inside_a_stream_too() -> None:
    """Where there is no header to say it."""
    failure = refusal_within(GOOGLE_RATE)

    assert (type(failure), failure.retry_after) == (CoolingDown, 34.0)


def test_a_provider_cannot_ask_for_a_rejected_request_again() -> None:
    """x-should-retry says nothing about what would be rejected again."""
    assert refusal(400, {"x-should-retry": "true"}, b"", path="/v1/messages", now=0.0).may_repeat is False


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, Broken, "stream_error"),
        ({"type": "api_error", "message": "Internal"}, Broken, "stream_error"),
        ({"type": "rate_limit_error", "message": "Slow"}, CoolingDown, "rate_limited"),
        ({"type": "requests", "code": "rate_limit_exceeded"}, CoolingDown, "rate_limited"),
        ({"type": "authentication_error"}, Misconfigured, "misconfigured"),
        ({"type": "invalid_request_error", "message": "prompt is too long"}, TooLong, "context_too_long"),
        ({"code": "content_filter"}, Filtered, "content_filter"),
        ({"code": 429, "message": "Slow"}, CoolingDown, "rate_limited"),
        ({"code": 502, "message": "Provider"}, Broken, "stream_error"),
        ({"code": 7}, Broken, "stream_error"),
        ({"code": 403, "message": "No", "metadata": {"flagged_input": "x"}}, Filtered, "input_refused"),
        ({"code": 403, "message": "x/y requires moderation on x"}, Filtered, "input_refused"),
        ({"code": 403}, Misconfigured, "misconfigured"),
        ({"metadata": {"error_type": "content_policy_violation"}}, Filtered, "content_filter"),
        ({"message": "limit 1 requested 2"}, Broken, "stream_error"),
        ({"code": 400, "message": "limit 1 requested 2"}, TooLong, "context_too_long"),
        ({"code": 403, "message": "Your account was flagged"}, Misconfigured, "misconfigured"),
        ({"code": 403, "message": "Key is disabled"}, Misconfigured, "misconfigured"),
        ({"code": 498, "message": "No room"}, CoolingDown, "rate_limited"),
        ({"message": "Content violates usage guidelines."}, Filtered, "content_filter"),
        ({"code": 418}, Rejected, "rejected"),
        ({"code": 424}, Broken, "stream_error"),
        ([{"error": [{"code": 429}]}], CoolingDown, "rate_limited"),
        ({"error": []}, Broken, "stream_error"),
        ("something", Broken, "stream_error"),
        (None, Broken, "stream_error"),
    ],
)
def test_an_error_inside_a_200_is_classified_by_its_type(
    error: object, kind: type[UpstreamFailure], reason: str
) -> None:
    """An error that comes with a 200 means what it would have meant as a status."""
    failure = refusal_within(error)

    assert type(failure) is kind
    assert failure.reason == reason


def test_a_rejection_is_fit_for_the_caller() -> None:
    """The upstream's message is bounded, and what does not print is taken out."""
    failure = refusal(400, {}, openai("no\r\n\x00\x1b[31m\u202e way " + "x" * MOST_READ), path="/v1/messages", now=0.0)

    assert failure.message.startswith("no[31m way xxx")
    assert len(failure.message) < MOST_READ


def test_a_rejection_without_words_names_the_status() -> None:
    """There is always a message."""
    assert refusal(400, {}, b"", path="/v1/messages", now=0.0).message == "HTTP 400"


def test_a_refused_key_is_not_repeated() -> None:
    """An upstream that says our key back does not bring it into the log."""
    failure = refusal(
        401, {}, openai("Incorrect API key provided: sk-secret", code="invalid_api_key"), path="/v1/messages", now=0.0
    )

    assert failure.message == "HTTP 401 (invalid_api_key)"
    assert "sk-secret" not in str(failure)


@pytest.mark.parametrize("status", [401, 402, 403, 429, 500, 503])
def test_words_that_may_repeat_the_prompt_are_left_out(status: int) -> None:
    """Of a refusal that every prompt could have met, the log has the status and the labels."""
    failure = refusal(status, {}, openai("You said: hello", "server_error", "odd_code"), path="/v1/messages", now=0.0)

    assert failure.message == f"HTTP {status} (odd_code, server_error)"


def test_a_label_that_is_none_is_left_out() -> None:
    """A label is one word: a sentence in its place may say anything."""
    failure = refusal(500, {}, openai("", "you said hello", "x" * 65), path="/v1/messages", now=0.0)

    assert failure.message == "HTTP 500 (no reason given)"


@pytest.mark.parametrize("label", ["insufficient_quota", "billing_error", "model_not_found", "invalid_api_key"])
@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 429])
def test_words_about_our_account_are_left_out_where_they_may_repeat_the_prompt(status: int, label: str) -> None:
    """The label says what is to be mended."""
    said = openai("You said: hello", label)

    messages = {
        refusal(status, {}, said, path="/v1/messages", now=0.0).message,
        refusal_within({"type": label, "code": status, "message": "You said: hello"}).message,
    }

    assert messages == {f"HTTP {status} ({label})"}


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, openai("No such model: g"), "HTTP 404 for /v1/messages (no reason given), it speaks of a model"),
        (404, b'{"error": "Model_g? you said: hello"}', "HTTP 404 for /v1/messages (no reason given)"),
        (404, anthropic("not_found_error"), "HTTP 404 for /v1/messages (not_found_error)"),
        (
            404,
            anthropic("not_found_error", "Model: g"),
            "HTTP 404 for /v1/messages (not_found_error), it speaks of a model",
        ),
        (404, b'{"detail": "Not Found"}', "HTTP 404 for /v1/messages (no reason given)"),
        (404, openai("No model g", code="model_not_found"), "HTTP 404 (model_not_found)"),
        (403, openai("No access to model g", code="model_not_found"), "HTTP 403 (model_not_found)"),
        (404, b"<html>", "HTTP 404 for /v1/messages (no reason given)"),
        (405, b"", "HTTP 405 for /v1/messages (no reason given)"),
        (405, b'{"detail": "hello"}', "HTTP 405 for /v1/messages (no reason given)"),
        (429, openai("Check your plan", "insufficient_quota"), "HTTP 429 (insufficient_quota)"),
        (402, b"", "HTTP 402 (no reason given)"),
        (402, b'{"error": {"message": "Insufficient Balance: hello"}}', "HTTP 402: Insufficient Balance"),
        (400, openai("Your credit balance is too low; you said: hello"), "HTTP 400: credit balance is too low"),
        (
            400,
            anthropic("invalid_request_error", ANTHROPIC_WORKSPACE),
            "HTTP 400: reached your specified workspace API usage limits. You will regain access on 2026-04-01",
        ),
        (
            429,
            openai(XAI_LIMIT),
            "HTTP 429: used all available credits or reached its monthly spending limit",
        ),
        (412, openai(FIREWORKS_LIMIT), "HTTP 412: reaching the monthly spending limit"),
        (400, anthropic("x", f"{ANTHROPIC_CLOSED} You said: hello"), "HTTP 400: This organization has been disabled"),
        (400, openai(GROQ_CLOSED, code="organization_restricted"), "HTTP 400 (organization_restricted)"),
        (400, b'{"error": {"message": "API key not valid: sk-secret"}}', "HTTP 400: API key not valid"),
    ],
)
def test_the_operator_is_told_what_has_to_be_mended(status: int, body: bytes, message: str) -> None:
    """In no words of the provider's but those that are known: others may repeat the prompt."""
    assert refusal(status, {}, body, path="/v1/messages", now=0.0).message == message


def test_an_error_inside_a_200_does_not_repeat_the_prompt_either() -> None:
    """Its labels say what it is."""
    failure = refusal_within({"type": "overloaded_error", "message": "You said: hello"})

    assert failure.message == "HTTP 529 (overloaded_error)"


@given(st.integers(100, 599), st.binary() | st.text().map(lambda text: openai(text, text, text)))
def test_no_refusal_is_too_odd(status: int, body: bytes) -> None:
    """Whatever the body, there is a failure with a reason."""
    assert refusal(status, {}, body, path="/v1/messages", now=0.0).reason


def test_a_deeply_nested_body_is_no_trouble() -> None:
    """A body that would overflow the stack says nothing."""
    assert isinstance(refusal(500, {}, b"[" * 60_000, path="/v1/messages", now=0.0), Broken)
