"""An answer ends with the same status, and costs the same, whether it comes in one piece or as a stream."""

from collections.abc import AsyncIterator, Mapping
from typing import TypeAlias

import msgspec
import pytest
import pytest_asyncio

from fakes.answers import anthropic_event
from fakes.providers import ANTHROPIC, OPENAI, Kind
from fakes.stage import NEVER_OPENS, Stage, model, stage
from fakes.upstream import Upstream, response, stream
from penstock.v1.pool_service_pb2 import BREAKER_STATE_CLOSED

pytestmark = pytest.mark.asyncio(loop_scope="module")

Body: TypeAlias = Mapping[str, object]

COST = 1000 * 1_000 + 500 * 2_000
"""Nano-USD of what every answer here says it used, at a price of 1 and 2 USD per million tokens."""
OPENAI_USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
ANTHROPIC_USAGE = {"input_tokens": 1000, "output_tokens": 500}
TOOL = [{"index": 0, "id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]
OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}

OPENAIS: Mapping[str, tuple[Body, str]] = {
    "filtered, no message": ({"choices": [{"message": None, "finish_reason": "content_filter"}]}, "CONTENT_FILTERED"),
    "filtered, no content": (
        {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]},
        "CONTENT_FILTERED",
    ),
    "a tool, no message": ({"choices": [{"message": None, "finish_reason": "tool_calls"}]}, "MODELS_UNAVAILABLE"),
    "a tool, no content": (
        {"choices": [{"message": {"content": None, "tool_calls": TOOL}, "finish_reason": "tool_calls"}]},
        "MODELS_UNAVAILABLE",
    ),
    "no choices": ({"choices": []}, "MODELS_UNAVAILABLE"),
    "no end": ({"choices": [{"message": None, "finish_reason": None}]}, "MODELS_UNAVAILABLE"),
    "no content": ({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, ""),
    "refused": (
        {"choices": [{"message": {"content": None, "refusal": "I can't."}, "finish_reason": "stop"}]},
        "CONTENT_FILTERED",
    ),
    "filtered in other words": ({"choices": [{"message": None, "finish_reason": "SAFETY"}]}, "CONTENT_FILTERED"),
    "a tool, stop": (
        {"choices": [{"message": {"content": None, "tool_calls": TOOL}, "finish_reason": "stop"}]},
        "MODELS_UNAVAILABLE",
    ),
    "an error in the choice": (
        {"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"code": 502}}]},
        "MODELS_UNAVAILABLE",
    ),
    "an error": ({"error": OVERLOADED}, "MODELS_UNAVAILABLE"),
}
"""What OpenAI's servers say, and how the call then ends."""
ANTHROPICS: Mapping[str, tuple[Body, str]] = {
    "refused, null": ({"content": None, "stop_reason": "refusal"}, "CONTENT_FILTERED"),
    "refused, empty": ({"content": [], "stop_reason": "refusal"}, "CONTENT_FILTERED"),
    "a tool": ({"content": None, "stop_reason": "tool_use"}, "MODELS_UNAVAILABLE"),
    "no end": ({"content": None, "stop_reason": None}, "MODELS_UNAVAILABLE"),
    "empty": ({"content": [], "stop_reason": "end_turn"}, ""),
    "an error": ({"content": None, "stop_reason": None, "error": OVERLOADED}, "MODELS_UNAVAILABLE"),
}
"""What Anthropic's servers say, and how the call then ends."""
ANSWERS = [
    *(pytest.param(OPENAI, *each, id=f"openai, {name}") for name, each in OPENAIS.items()),
    *(pytest.param(ANTHROPIC, *each, id=f"anthropic, {name}") for name, each in ANTHROPICS.items()),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    """An upstream for all of these tests."""
    async with Upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def daemon(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A daemon that asks each kind of provider once."""
    kinds = (OPENAI, ANTHROPIC)
    models = {kind.name: {**model(upstream.url, kind), "price": {"input": 1, "output": 2}} for kind in kinds}
    agents = {name: [name] for name in models}
    async with stage(
        tmp_path_factory.mktemp("both"),
        models,
        agents,
        retry={"max_attempts": 1},
        circuit_breaker=NEVER_OPENS,
        cache={"enabled": False},
    ) as it:
        yield it


def whole(kind: Kind, body: Body) -> bytes:
    """The answer in one piece."""
    return msgspec.json.encode({"usage": OPENAI_USAGE if kind is OPENAI else ANTHROPIC_USAGE, **body})


def events(kind: Kind, body: Body) -> list[bytes]:
    """The same answer as a stream."""
    if kind is OPENAI:
        return [b"data: " + whole(kind, body).replace(b'"message":', b'"delta":', 1) + b"\n\n", kind.last]
    message = {"content": [], "usage": ANTHROPIC_USAGE | {"output_tokens": 1}}
    return [
        anthropic_event("message_start", message=message),
        anthropic_event("message_delta", delta={"stop_reason": body["stop_reason"]}, usage={"output_tokens": 500}),
        anthropic_event("error", error=body["error"]) if "error" in body else anthropic_event("message_stop"),
    ]


@pytest.mark.parametrize(("kind", "body", "ending"), ANSWERS)
@pytest.mark.parametrize("streams", [True, False], ids=["stream", "unary"])
async def test_an_answer_without_text_ends_and_costs_as_its_provider_says(
    daemon: Stage, upstream: Upstream, kind: Kind, body: Body, ending: str, *, streams: bool
) -> None:
    """Whatever else is missing, what it was billed for was said."""
    answer = stream(*events(kind, body)) if streams else [response(whole(kind, body))]
    upstream.respond(lambda _: answer)
    before = (await daemon.client.get_usage()).total

    seen = await daemon.ask(kind.name, streams=streams)

    after = (await daemon.client.get_usage()).total
    assert (seen.ending, seen.text) == (ending, "")
    assert after.output_tokens - before.output_tokens == 500
    assert after.cost_nanousd - before.cost_nanousd == COST


FLAGGED = {"code": 403, "message": "Your input was flagged", "metadata": {"reasons": ["violence"]}}
"""What OpenRouter says of a prompt."""


@pytest.mark.parametrize("status", [403, 446, 200])
@pytest.mark.parametrize("streams", [True, False], ids=["stream", "unary"])
async def test_a_prompt_that_a_provider_will_not_have_closes_its_model_to_nobody(
    daemon: Stage, upstream: Upstream, status: int, *, streams: bool
) -> None:
    """With a status of its own, a refused key's or within a stream, it is one caller's affair and costs nothing."""
    body = msgspec.json.encode({"error": FLAGGED})
    within = status == 200 and streams
    upstream.respond(lambda _: stream(b"data: " + body + b"\n\n") if within else [response(body, status)])
    before = (await daemon.client.get_usage()).total

    seen = await daemon.ask("openai", streams=streams)

    after = (await daemon.client.get_usage()).total
    assert seen.ending == "CONTENT_FILTERED"
    assert after.cost_nanousd == before.cost_nanousd
    assert (await daemon.model("openai")).breaker_state == BREAKER_STATE_CLOSED


@pytest.mark.parametrize("body", [b"", b"<html>Sorry, you have been blocked</html>"])
async def test_who_is_kept_out_without_a_word_is_not_shown_to_have_a_wrong_key(
    daemon: Stage, upstream: Upstream, body: bytes
) -> None:
    """A firewall's 403 keeps nobody from asking again, or from asking another model."""
    upstream.respond(lambda _: [response(body, 403)])

    seen = await daemon.ask("openai", streams=False)

    assert seen.ending == "MODELS_UNAVAILABLE"
    assert (await daemon.model("openai")).breaker_state == BREAKER_STATE_CLOSED


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "unary"])
async def test_what_was_said_before_an_error_in_the_same_piece_is_charged(
    daemon: Stage, upstream: Upstream, *, streams: bool
) -> None:
    """It was billed, though nobody is shown it."""
    said = {"content": "x" * 400}
    choice = {"message": said, "delta": said, "finish_reason": "error", "error": {"code": 502}}
    body = msgspec.json.encode({"choices": [choice]})
    upstream.respond(lambda _: stream(b"data: " + body + b"\n\n") if streams else [response(body)])
    before = (await daemon.client.get_usage()).total

    seen = await daemon.ask("openai", streams=streams)

    after = (await daemon.client.get_usage()).total
    assert (seen.ending, seen.text) == ("MODELS_UNAVAILABLE", "")
    assert after.output_tokens - before.output_tokens == 100


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (OPENAI, {"choices": [{"message": None, "finish_reason": "stop"}]}),
        (OPENAI, {"choices": [{"delta": {"content": "a"}, "finish_reason": "length"}]}),
        (ANTHROPIC, {"content": None, "stop_reason": "end_turn"}),
    ],
)
async def test_an_end_that_was_asked_for_makes_no_answer_without_a_message(
    daemon: Stage, upstream: Upstream, kind: Kind, body: Body
) -> None:
    """In one piece it has to be there; where it is not, another model is asked, and what was billed is known."""
    upstream.respond(lambda _: [response(whole(kind, body))])
    before = (await daemon.client.get_usage()).total

    seen = await daemon.ask(kind.name, streams=False)

    after = (await daemon.client.get_usage()).total
    assert seen.ending == "MODELS_UNAVAILABLE"
    assert after.cost_nanousd - before.cost_nanousd == COST
