"""What each provider is sent, and what is peculiar to how each counts."""

import re
from collections.abc import Callable, Mapping

import msgspec
import pytest

from fakes.answers import (
    anthropic_answer,
    anthropic_event,
    anthropic_events,
    openai_answer,
    openai_chunk,
    openai_events,
)
from fakes.asking import Heard, ask, prompt
from fakes.providers import ANTHROPIC, OPENAI, Kind, Provide
from fakes.upstream import Upstream, response, stream
from penstockd.config.model_settings import OURS
from penstockd.models.providers.anthropic import Anthropic
from penstockd.models.providers.complaint import MOST_READ
from penstockd.models.providers.dialect import MAX_TOKENS
from penstockd.models.providers.openai import OpenAI, max_tokens_field_of
from penstockd.request import Parameters, Role, Turn
from penstockd.upstream import Broken, CoolingDown, Filtered, ToolCalled, UpstreamFailure
from penstockd.usage import Usage

TURNS = (Turn(Role.USER, "hi"), Turn(Role.ASSISTANT, "yes?"), Turn(Role.USER, "why"))
ALL = Parameters(temperature=0.0, top_p=0.5, max_output_tokens=50, stop=("END",), seed=0)
SPOKEN = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yes?"},
    {"role": "user", "content": "why"},
]


def test_a_turn_has_nothing_that_no_provider_is_to_see() -> None:
    """It is sent as it is."""
    assert Turn.__struct_fields__ == ("role", "content")


async def test_openai_is_asked_in_its_words(upstream: Upstream, provide: Provide) -> None:
    """Everything that is set is sent, under OpenAI's names."""
    upstream.answer(*stream(*openai_events(())))

    await ask(provide(OPENAI), *TURNS, streams=True, instructions="Be brief.", parameters=ALL)

    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert request.headers["authorization"] == "Bearer key"
    assert request.json == {
        "model": "gpt",
        "messages": [{"role": "system", "content": "Be brief."}, *SPOKEN],
        "max_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(("kind", "model"), [(OPENAI, "gpt"), (ANTHROPIC, "claude")], ids=["openai", "anthropic"])
@pytest.mark.parametrize("streams", [False, True])
async def test_who_answered_is_known_by_the_providers_own_name(
    upstream: Upstream, provide: Provide, kind: Kind, model: str, *, streams: bool
) -> None:
    """Which may say more than the name that was asked for."""
    upstream.answer(*(stream(*kind.events(["hi"])) if streams else [response(kind.answer("hi"))]))

    heard = await ask(provide(kind), streams=streams)

    assert heard.attempt.response_model == model


@pytest.mark.parametrize("streams", [False, True])
async def test_a_secret_in_the_name_of_who_answered_goes_no_further(
    kind: Kind, upstream: Upstream, provide: Provide, *, streams: bool
) -> None:
    """It is on spans; each name is looked at, whoever answered before."""
    provider, named = provide(kind, api_key="sesame-open"), re.compile(b'"model":"[a-z]+"')
    for said, told in [("a sesame-open", "a ***"), ("b", "b"), ("a sesame-open", "a ***"), ("b", "b"), ("b", "b")]:
        events = kind.events(["hi"]) if streams else [kind.answer("hi")]
        events = [named.sub(b'"model":"%b"' % said.encode(), event) for event in events]
        upstream.answer(*(stream(*events) if streams else [response(events[0])]))

        assert (await ask(provider, streams=streams)).attempt.response_model == told


async def test_as_much_of_a_models_name_is_kept_as_holds_a_secret(upstream: Upstream, provide: Provide) -> None:
    """However long it is."""
    upstream.answer(response(openai_answer("hi").replace(b'"gpt"', b'"' + b"x" * 100_000 + b'"')))

    assert (await ask(provide(OPENAI))).attempt.response_model == "x" * MOST_READ


async def test_a_model_whose_name_is_no_text_answers_all_the_same(upstream: Upstream, provide: Provide) -> None:
    """Nobody depends on it."""
    body = msgspec.json.decode(openai_answer("hi")) | {"model": {"odd": 1}}
    upstream.answer(response(msgspec.json.encode(body)))

    heard = await ask(provide(OPENAI))

    assert (heard.text, heard.attempt.response_model) == ("hi", "")


async def test_anthropic_is_asked_in_its_words(upstream: Upstream, provide: Provide) -> None:
    """Everything that is set and that Anthropic knows is sent, under its names."""
    upstream.answer(*stream(*anthropic_events(())))

    await ask(provide(ANTHROPIC), *TURNS, streams=True, instructions="Be brief.", parameters=ALL)

    (request,) = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers["x-api-key"] == "key"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.json == {
        "model": "claude",
        "system": "Be brief.",
        "messages": SPOKEN,
        "max_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop_sequences": ["END"],
        "stream": True,
    }


async def test_what_is_not_set_is_not_sent(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """Silence leaves the choice to the provider; without a key there is no header for one."""
    upstream.answer(response(kind.answer("a")))

    await ask(provide(kind, api_key=""))

    (request,) = upstream.requests
    assert isinstance(request.json, dict)
    assert request.json.keys() == {"model", "messages", "max_tokens"}
    assert not request.headers.keys() & {"authorization", "x-api-key"}


ADDED = {"reasoning_effort": "low", "thinking": {"type": "enabled", "budget_tokens": 1024}}


Adding = Callable[[Mapping[str, object]], OpenAI | Anthropic]
BOTH = pytest.mark.parametrize(
    "adding",
    [
        lambda body: OpenAI(model="m", max_tokens_field="max_tokens", body=body),
        lambda body: Anthropic(model="m", body=body),
    ],
    ids=["openai", "anthropic"],
)


@BOTH
def test_what_an_operator_adds_is_sent_with_each_request(adding: Adding) -> None:
    """Beside all that the prompt says, which comes over it."""
    asked = prompt(instructions="Be brief.", parameters=ALL, streams=True)

    bare = msgspec.json.decode(adding({}).request(asked))
    sent = msgspec.json.decode(adding(ADDED | {"model": "other"}).request(asked))

    assert sent == bare | ADDED


@BOTH
def test_what_the_dialects_send_is_not_an_operators_to_add(adding: Adding) -> None:
    """The configuration refuses it."""
    asked = prompt(instructions="Be brief.", parameters=ALL, streams=True)

    assert msgspec.json.decode(adding({}).request(asked)).keys() <= OURS


async def test_a_base_url_may_have_a_path(upstream: Upstream, provide: Provide) -> None:
    """/v1 is where OpenAI's servers expect it, and is not said twice to Anthropic's."""
    upstream.answer(response(openai_answer("a")))
    upstream.answer(response(anthropic_answer("a")))

    await ask(provide(OPENAI, base_url=f"{upstream.url}/v1/"))
    await ask(provide(ANTHROPIC, base_url=f"{upstream.url}/v1/"))

    assert [request.path for request in upstream.requests] == ["/v1/chat/completions", "/v1/messages"]


@pytest.mark.parametrize(
    ("base_url", "field", "sent"),
    [
        ("https://api.openai.com/v1", None, "max_completion_tokens"),
        ("https://llm.internal/v1", None, "max_tokens"),
        ("https://api.openai.com/v1", "max_tokens", "max_tokens"),
        ("https://llm.internal/v1", "max_completion_tokens", "max_completion_tokens"),
    ],
)
def test_the_name_of_the_most_tokens_fits_the_server(base_url: str, field: str | None, sent: str) -> None:
    """OpenAI's own models take the new name, every other server the old one, and the config has the last word."""
    dialect = OpenAI(model="gpt", max_tokens_field=field or max_tokens_field_of(base_url), body={})

    assert sent in msgspec.json.decode(dialect.request(prompt()))


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2}, Usage(uncached_input=10, output=2)),
        ({"prompt_tokens": -10, "completion_tokens": -2}, Usage()),
        ({"prompt_tokens": None, "completion_tokens": 2.0, "prompt_tokens_details": None}, Usage(output=2)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 20}}, Usage(cached_input=10)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": -20}}, Usage(uncached_input=10)),
        (
            {"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 20}},
            Usage(output=10, reasoning=10),
        ),
        ({"completion_tokens": 10**19}, Usage(output=MAX_TOKENS)),
        # OpenAI's and OpenRouter's writes to the cache are of the prompt.
        (
            {"prompt_tokens": 18014, "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 18000}},
            Usage(uncached_input=11, cached_input=3, cache_write_input=18000),
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 8}},
            Usage(cached_input=8, cache_write_input=2),
        ),
        # xAI's reasoning comes on top of the completion; where the total says otherwise it is of it.
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(uncached_input=32, output=103, reasoning=94),
        ),
        (
            {
                "prompt_tokens": 500,
                "completion_tokens": 500,
                "total_tokens": 1000,
                "completion_tokens_details": {"reasoning_tokens": 200},
            },
            Usage(uncached_input=500, output=500, reasoning=200),
        ),
        # What is odd leaves the rest as it is.
        ({"prompt_tokens": "10", "completion_tokens": 2}, Usage(output=2)),
        ({"prompt_tokens": True, "completion_tokens": [2]}, Usage()),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": [], "completion_tokens_details": "none"},
            Usage(uncached_input=10),
        ),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": {}}}, Usage(uncached_input=10)),
    ],
)
async def test_openai_usage_is_made_sense_of(
    upstream: Upstream, provide: Provide, said: Mapping[str, object], usage: Usage
) -> None:
    """Whatever is counted, buckets are disjoint, none is negative and none is absurd."""
    *chunks, done = openai_events(("a",))
    upstream.answer(*stream(*chunks, b"data: " + openai_chunk([], usage=said) + b"\n\n", done))

    assert (await ask(provide(OPENAI), streams=True)).attempt.usage == usage


@pytest.mark.parametrize("odd", [[], "n/a", 5, 0.5, True], ids=repr)
@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer_is_good_without_its_usage(
    kind: Kind, upstream: Upstream, provide: Provide, odd: object, *, streams: bool
) -> None:
    """It was paid for; whoever counted it oddly leaves that to us."""
    counted = re.compile(rb'"usage":\{[^{}]*(\{[^{}]*\}[^{}]*)*\}')
    events = kind.events(("a",), kind.usage) if streams else [kind.answer("a", kind.usage)]
    odd_events = [counted.sub(b'"usage":' + msgspec.json.encode(odd), event) for event in events]
    upstream.answer(*(stream(*odd_events) if streams else [response(odd_events[0])]))

    heard = await ask(provide(kind), streams=streams)

    assert odd_events != events
    assert (heard.text, heard.attempt.usage, heard.attempt.is_counted) == ("a", Usage(), False)


async def test_openai_usage_that_comes_twice_counts_once(upstream: Upstream, provide: Provide) -> None:
    """Servers that send a running count with every chunk are believed in the last."""
    running = [
        b"data: "
        + openai_chunk([{"delta": {"content": "a"}}], usage={"prompt_tokens": 5, "completion_tokens": n})
        + b"\n\n"
        for n in (1, 2, 3)
    ]
    upstream.answer(*stream(*running, *openai_events((), OPENAI.usage)))

    assert (await ask(provide(OPENAI), streams=True)).attempt.usage == OPENAI.usage


async def test_zeros_after_openais_count_are_none(upstream: Upstream, provide: Provide) -> None:
    """They do not take back what was counted."""
    zeros = b"data: " + openai_chunk([], usage={"prompt_tokens": 0, "completion_tokens": 0}) + b"\n\n"
    *chunks, done = openai_events(("a",), OPENAI.usage)
    upstream.answer(*stream(*chunks, zeros, done))
    running = b"data: " + openai_chunk([{"delta": {"content": "a"}}], usage={"prompt_tokens": 5}) + b"\n\n"
    upstream.answer(*stream(running, *openai_events(())[1:-1], zeros, done))

    counted, running_only = await ask(provide(OPENAI), streams=True), await ask(provide(OPENAI), streams=True)

    assert (counted.attempt.usage, counted.attempt.is_counted) == (OPENAI.usage, True)
    assert (running_only.attempt.usage, running_only.attempt.is_counted) == (Usage(uncached_input=5), False)


async def test_zeros_of_openais_with_nothing_before_them_are_its_count(upstream: Upstream, provide: Provide) -> None:
    """It counted nothing, which the account makes up for."""
    zeros = b"data: " + openai_chunk([], usage={"prompt_tokens": 0, "completion_tokens": 0}) + b"\n\n"
    *chunks, done = openai_events(("a",))
    upstream.answer(*stream(*chunks, zeros, done))

    heard = await ask(provide(OPENAI), streams=True)

    assert (heard.attempt.usage, heard.attempt.is_counted) == (Usage(), True)


@pytest.mark.parametrize(("ending", "is_counted"), [(None, False), ("content_filter", True)])
async def test_openais_running_count_is_of_the_whole_answer_with_its_end(
    upstream: Upstream, provide: Provide, ending: str | None, *, is_counted: bool
) -> None:
    """Where every chunk counts, that of the middle is no last word; the one that says why it ended is."""
    choice = {"delta": {"content": "a"}, "finish_reason": ending}
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    upstream.answer(*stream(b"data: " + openai_chunk([choice], usage=usage) + b"\n\n"))
    heard = Heard()

    with pytest.raises(Broken):
        await ask(provide(OPENAI), streams=True, heard=heard)

    assert (heard.attempt.usage, heard.attempt.is_counted) == (Usage(uncached_input=5, output=1), is_counted)


@pytest.mark.parametrize(
    ("delta", "usage", "is_counted"),
    [
        ({"stop_reason": "refusal"}, {"output_tokens": 0}, True),
        ({"stop_reason": "refusal"}, {"input_tokens": 7}, False),
        ({"stop_reason": "refusal"}, {"output_tokens": "7"}, False),
        ({"stop_reason": "refusal"}, None, False),
        ({"stop_reason": None}, {"output_tokens": 5}, False),
    ],
)
async def test_anthropics_count_of_output_is_of_the_whole_answer_with_its_end(
    upstream: Upstream, provide: Provide, delta: Mapping[str, object], usage: Mapping[str, object], *, is_counted: bool
) -> None:
    """The one of message_start, and of a change on the way, is of the output so far."""
    first, *_ = anthropic_events((), ANTHROPIC.usage)
    upstream.answer(*stream(first, anthropic_event("message_delta", delta=delta, usage=usage)))
    heard = Heard()

    with pytest.raises(Broken):
        await ask(provide(ANTHROPIC), streams=True, heard=heard)

    assert heard.attempt.is_counted == is_counted


async def test_anthropic_usage_is_cumulative(upstream: Upstream, provide: Provide) -> None:
    """A later count replaces an earlier one; what it is silent or odd about stays; negative counts are none."""
    first, *rest = anthropic_events(("a",), ANTHROPIC.usage)
    deltas = [
        anthropic_event("message_delta", delta={}, usage={"output_tokens": 5, "input_tokens": None}),
        anthropic_event("message_delta", delta={}, usage={"output_tokens": 11, "cache_read_input_tokens": -1}),
        anthropic_event("message_delta", delta={}, usage={"output_tokens": "12", "input_tokens": [1]}),
    ]
    upstream.answer(*stream(first, *deltas, *rest))

    usage = (await ask(provide(ANTHROPIC), streams=True)).attempt.usage

    assert usage == msgspec.structs.replace(ANTHROPIC.usage, cached_input=0)


async def test_anthropic_thinking_is_no_text(upstream: Upstream, provide: Provide) -> None:
    """Only text blocks are the answer."""
    first, *rest = anthropic_events(("a",))
    thinking = [
        anthropic_event(
            "content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "text": "no"}
        ),
        anthropic_event(
            "content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm", "text": "no"}
        ),
    ]
    upstream.answer(*stream(first, *thinking, *rest))

    assert (await ask(provide(ANTHROPIC), streams=True)).text == "a"


ODD = [
    anthropic_event("status", message="warming up"),
    anthropic_event("future_delta", delta="x", content_block=[1], message={"content": 5}),
    anthropic_event("content_block_stop", content_block="x"),
    anthropic_event("content_block_start", content_block={"type": "web_search_tool_result", "text": {"odd": 1}}),
    anthropic_event("content_block_start", content_block={"type": "text", "text": None}),
    anthropic_event("content_block_delta", delta={"type": "thinking_delta", "thinking": "", "text": None}),
    anthropic_event("content_block_delta", delta={"type": "text_delta", "text": None}),
    anthropic_event("content_block_delta", delta={"type": None, "text": 5}),
    anthropic_event("message_delta", delta={"type": None, "text": None, "stop_reason": None}),
]


@pytest.mark.parametrize("event", ODD, ids=repr)
async def test_what_anthropics_events_do_not_say_does_not_matter(
    upstream: Upstream, provide: Provide, event: bytes
) -> None:
    """A null is nothing, and what is no text may have any shape under a name that text has elsewhere."""
    first, *rest = anthropic_events(("a",))
    upstream.answer(*stream(first, event, *rest))

    assert (await ask(provide(ANTHROPIC), streams=True)).text == "a"


async def test_what_anthropics_blocks_do_not_say_does_not_matter(upstream: Upstream, provide: Provide) -> None:
    """In one piece as in a stream."""
    body = msgspec.json.decode(anthropic_answer("a"))
    body["content"] += [
        {"type": "tool_result", "text": None},
        {"type": "web_search_tool_result", "text": {"odd": 1}},
        {"type": "text", "text": None},
        {"type": None},
    ]
    upstream.answer(response(msgspec.json.encode(body)))

    assert (await ask(provide(ANTHROPIC))).text == "a"


@pytest.mark.parametrize(
    "event",
    [
        anthropic_event("content_block_delta", delta={"type": "text_delta", "text": 5}),
        anthropic_event("content_block_delta", delta={"type": "text_delta", "text": ["a"]}),
        anthropic_event("content_block_delta", delta={"type": 5, "text": "a"}),
        anthropic_event("content_block_delta", delta="x"),
        anthropic_event("content_block_start", content_block={"type": "text", "text": {"odd": 1}}),
        anthropic_event("content_block_start", content_block=["x"]),
        anthropic_event("message_start", message="x"),
        anthropic_event("message_delta", delta="x"),
        anthropic_event("message_delta", delta={"stop_reason": 5}),
        b'data: {"type": 5}\n\n',
        b'data: {"type": "status", "message": "warming up}\n\n',
    ],
    ids=repr,
)
async def test_a_text_or_an_end_of_anthropics_that_is_none_is_malformed(
    upstream: Upstream, provide: Provide, event: bytes
) -> None:
    """Text may be lost with it."""
    first, *rest = anthropic_events(("a",))
    upstream.answer(*stream(first, event, *rest))

    with pytest.raises(Broken) as failure:
        await ask(provide(ANTHROPIC), streams=True)

    assert failure.value.reason == "malformed"


@pytest.mark.parametrize("block", [{"type": "text", "text": 5}, {"type": 5, "text": "a"}, "a"], ids=repr)
async def test_a_block_of_anthropics_that_is_none_is_malformed(
    upstream: Upstream, provide: Provide, block: object
) -> None:
    """In one piece as in a stream."""
    body = msgspec.json.decode(anthropic_answer("a")) | {"content": [block]}
    upstream.answer(response(msgspec.json.encode(body)))

    with pytest.raises(Broken) as failure:
        await ask(provide(ANTHROPIC))

    assert failure.value.reason == "malformed"


async def test_an_error_of_anthropics_is_one_whatever_is_beside_it(upstream: Upstream, provide: Provide) -> None:
    """Where no name tells that it is an error, either."""
    error = {"type": "error", "message": "Slow", "error": {"type": "rate_limit_error", "message": "Slow"}}
    upstream.answer(*stream(b"data: " + msgspec.json.encode(error) + b"\n\n"))

    with pytest.raises(CoolingDown):
        await ask(provide(ANTHROPIC), streams=True)


def thinks(delta: dict[str, object], **block: object) -> bytes:
    """An event of Anthropic's with this delta, or with this block at its start."""
    if block:
        return anthropic_event("content_block_start", index=0, content_block=block)
    return anthropic_event("content_block_delta", index=0, delta=delta)


def speaks(**delta: object) -> bytes:
    """A chunk of OpenAI's with this delta."""
    return b"data: " + openai_chunk([{"index": 0, "delta": delta}]) + b"\n\n"


UNSAID = [
    (OPENAI, speaks(reasoning_content="hmü"), 4),
    (OPENAI, speaks(reasoning="hm"), 2),
    (OPENAI, speaks(content=None, reasoning="hm", reasoning_content="hm"), 2),
    (OPENAI, speaks(content="", reasoning="hm"), 2),
    (OPENAI, speaks(content="", reasoning_content="hm"), 2),
    (OPENAI, speaks(content="", tool_calls=[{"index": 0, "function": {"name": "find", "arguments": "{}"}}]), 6),
    (OPENAI, speaks(tool_calls=[{"index": 0, "function": {"name": "find", "arguments": "{}"}}]), 6),
    (OPENAI, speaks(content="", reasoning=None, reasoning_content="", tool_calls=[]), 0),
    (OPENAI, speaks(role="assistant", reasoning={"odd": 1}, tool_calls=[{"function": None}]), 0),
    (OPENAI, speaks(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hmü"}]}]), 4),
    (OPENAI, speaks(content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": None}]), 2),
    (OPENAI, speaks(content=[{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": ""}]), 0),
    (OPENAI, b": keep-alive\n\n", 0),
    (ANTHROPIC, thinks({"type": "thinking_delta", "thinking": "hmü"}), 4),
    (ANTHROPIC, thinks({"type": "signature_delta", "signature": "c2ln"}), 4),
    (ANTHROPIC, thinks({"type": "input_json_delta", "partial_json": "{}"}), 2),
    (ANTHROPIC, thinks({}, type="redacted_thinking", data="ZGF0YQ=="), 8),
    (ANTHROPIC, thinks({}, type="thinking", thinking="", signature=""), 0),
    (ANTHROPIC, anthropic_event("ping"), 0),
]


@pytest.mark.parametrize(("kind", "event", "size"), UNSAID)
async def test_what_a_model_says_and_is_no_text_is_heard(
    upstream: Upstream, provide: Provide, kind: Kind, event: bytes, size: int
) -> None:
    """Reasoning, and what it would tell a tool: it is counted, shows that the model is at work, and is not sent."""
    upstream.answer(*stream(event, event, *kind.events(("a",))[1:]))
    heard = await ask(provide(kind), streams=True)

    assert heard.text == "a"
    assert heard.attempt.bytes_unsaid == 2 * size
    assert (heard.thoughts > 0) == (size > 0)


TOOL = [{"index": 0, "id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("message", "outcome", "unsaid"),
    [
        ({"content": None, "refusal": "I can't."}, Filtered, 8),
        ({"content": "{", "refusal": "I can't."}, Filtered, 9),
        ({"content": None, "tool_calls": TOOL}, ToolCalled, 6),
        ({"content": "", "tool_calls": TOOL}, ToolCalled, 6),
    ],
)
@pytest.mark.parametrize("ending", ["stop", "length"])
@pytest.mark.parametrize("streams", [False, True])
async def test_what_openais_servers_say_in_an_answers_place_is_none(
    upstream: Upstream,
    provide: Provide,
    *,
    message: Mapping[str, object],
    outcome: type[UpstreamFailure],
    unsaid: int,
    ending: str,
    streams: bool,
) -> None:
    """A refusal has not the shape that was asked for; an empty text beside a call of a tool is not the answer."""
    upstream.answer(*says(message, ending, streams=streams))
    heard = Heard()

    with pytest.raises(outcome):
        await ask(provide(OPENAI), streams=streams, heard=heard)

    assert heard.completed is None
    assert len(heard.text) + heard.attempt.bytes_unsaid == unsaid


@pytest.mark.parametrize(
    "message",
    [{"content": "a", "tool_calls": TOOL}, {"content": "a", "refusal": ""}, {"content": "a", "refusal": {"odd": 1}}],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_what_openais_servers_say_beside_an_answer_leaves_it_good(
    upstream: Upstream, provide: Provide, *, message: Mapping[str, object], streams: bool
) -> None:
    """Servers with tools of their own tell of the calls."""
    upstream.answer(*says(message, "stop", streams=streams))

    assert (await ask(provide(OPENAI), streams=streams)).text == "a"


def says(message: Mapping[str, object], ending: str, *, streams: bool) -> tuple[bytes, ...]:
    """An answer of OpenAI's with this message, which a stream says first and then ends."""
    if not streams:
        choice = {"index": 0, "message": message, "finish_reason": ending}
        return (response(msgspec.json.encode({"choices": [choice]})),)
    return stream(speaks(**message), *openai_events((), ending=ending)[1:])


@pytest.mark.parametrize("streams", [False, True])
async def test_an_error_in_openrouters_choice_is_one(upstream: Upstream, provide: Provide, *, streams: bool) -> None:
    """It says more than that the answer ended by an error."""
    error = {"code": 429, "message": "Rate limited"}
    choice = {"error": error, "message": {"content": ""}, "delta": {"content": ""}, "finish_reason": "error"}
    chunk = openai_chunk([choice])
    upstream.answer(*(stream(b"data: " + chunk + b"\n\n") if streams else [response(chunk)]))

    with pytest.raises(CoolingDown):
        await ask(provide(OPENAI), streams=streams)


@pytest.mark.parametrize("error", [{"code": 502, "message": "Odd"}, "none"], ids=repr)
@pytest.mark.parametrize("ending", ["stop", "length", "STOP"])
async def test_an_error_in_the_choice_of_an_answer_that_ended_well_is_none(
    upstream: Upstream, provide: Provide, error: object, ending: str
) -> None:
    """The answer is whole."""
    choice = {"message": {"content": "a"}, "finish_reason": ending, "error": error}
    upstream.answer(response(msgspec.json.encode({"choices": [choice]})))

    assert (await ask(provide(OPENAI))).text == "a"


@pytest.mark.parametrize("of_choice", [True, False])
@pytest.mark.parametrize("streams", [False, True])
async def test_what_was_said_beside_openais_error_is_known(
    upstream: Upstream, provide: Provide, *, of_choice: bool, streams: bool
) -> None:
    """It had been made: its text, its reasoning and what it says to tools."""
    said = {"content": "ü", "reasoning": "hm", "tool_calls": TOOL}
    error = {"error": {"code": 502, "message": "Provider disconnected"}}
    choice = {"delta" if streams else "message": said, "finish_reason": "error"} | (error if of_choice else {})
    body = msgspec.json.encode({"choices": [choice]} | ({} if of_choice else error))
    upstream.answer(*(stream(speaks(content="é"), b"data: " + body + b"\n\n") if streams else [response(body)]))
    heard = Heard()

    with pytest.raises(Broken):
        await ask(provide(OPENAI), streams=streams, heard=heard)

    before = len("é".encode()) if streams else 0
    assert len(heard.text.encode()) + heard.attempt.bytes_unsaid == before + 10


async def test_blanks_beside_a_call_of_a_tool_are_no_answer(upstream: Upstream, provide: Provide) -> None:
    """Some models send them first."""
    upstream.answer(*says({"content": "\n\n", "tool_calls": TOOL}, "stop", streams=False))
    upstream.answer(*stream(speaks(content=" "), speaks(tool_calls=TOOL), *openai_events((), ending="stop")[1:]))

    for streams in (False, True):
        with pytest.raises(ToolCalled):
            await ask(provide(OPENAI), streams=streams)


async def test_a_text_before_or_after_a_call_of_a_tool_is_an_answer(upstream: Upstream, provide: Provide) -> None:
    """In whichever piece it comes."""
    called, end = speaks(tool_calls=TOOL), openai_events((), ending="stop")[1:]
    upstream.answer(*stream(speaks(content="a"), speaks(content=" "), called, *end))
    upstream.answer(*stream(called, speaks(content="a"), speaks(content=" "), *end))

    for _ in range(2):
        assert (await ask(provide(OPENAI), streams=True)).text == "a "


async def test_a_refusal_that_began_is_one_to_the_end(upstream: Upstream, provide: Provide) -> None:
    """It comes in pieces, and text may follow."""
    upstream.answer(*stream(speaks(refusal="I"), speaks(content="a"), *openai_events((), ending="stop")[1:]))

    with pytest.raises(Filtered):
        await ask(provide(OPENAI), streams=True)


@pytest.mark.parametrize("nothing", [None, False, "", {}, [], 0], ids=repr)
async def test_an_error_that_says_nothing_is_none(
    kind: Kind, upstream: Upstream, provide: Provide, nothing: object
) -> None:
    """The answer beside it is good."""
    upstream.answer(response(msgspec.json.encode(msgspec.json.decode(kind.answer("a")) | {"error": nothing})))

    assert (await ask(provide(kind))).text == "a"


@pytest.mark.parametrize("nothing", [False, "", {}], ids=repr)
async def test_an_error_that_says_nothing_is_none_in_openais_streams(
    upstream: Upstream, provide: Provide, nothing: object
) -> None:
    """Nor in a choice."""
    choice = {"delta": {"content": "a"}, "error": nothing}
    chunk = b"data: " + openai_chunk([choice], error=nothing) + b"\n\n"
    upstream.answer(*stream(chunk, *openai_events(())[1:]))

    assert (await ask(provide(OPENAI), streams=True)).text == "a"


async def test_what_was_thought_is_known_of_a_stream_that_is_cut(upstream: Upstream, provide: Provide) -> None:
    """It has been paid for."""
    upstream.answer(*stream(speaks(reasoning="hm")))
    heard = Heard()

    with pytest.raises(Broken):
        await ask(provide(OPENAI), streams=True, heard=heard)

    assert (heard.attempt.bytes_unsaid, heard.thoughts, heard.deltas) == (2, 1, [])


async def test_what_was_thought_is_known_of_a_whole_answer(upstream: Upstream, provide: Provide) -> None:
    """For servers that do not count."""
    body = msgspec.json.decode(openai_answer("a"))
    body["choices"][0]["message"]["reasoning_content"] = "hm"
    upstream.answer(response(msgspec.json.encode(body)))
    body = msgspec.json.decode(anthropic_answer("a"))
    body["content"].append({"type": "thinking", "thinking": "hm", "signature": "c2ln"})
    upstream.answer(response(msgspec.json.encode(body)))

    one, other = await ask(provide(OPENAI)), await ask(provide(ANTHROPIC))

    assert (one.text, one.attempt.bytes_unsaid) == (other.text, other.attempt.bytes_unsaid - 4) == ("a", 2)


async def test_what_openai_servers_say_in_parts_is_put_together(upstream: Upstream, provide: Provide) -> None:
    """Mistral's models that reason do, in streams and in one piece; what is around the text is not it."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    parts = [thinking, {"type": "text", "text": "on"}, {"type": "reference", "reference_ids": [1]}]
    body = msgspec.json.decode(openai_answer("on"))
    body["choices"][0]["message"]["content"] = [*parts, {"type": "text", "text": "e"}]
    upstream.answer(response(msgspec.json.encode(body)))
    upstream.answer(*stream(speaks(content=parts), speaks(content="e"), *openai_events(())[1:]))

    whole, streamed = await ask(provide(OPENAI)), await ask(provide(OPENAI), streams=True)

    assert (whole.text, whole.attempt.bytes_unsaid) == ("one", 2)
    assert (streamed.text, streamed.attempt.bytes_unsaid) == ("one", 2)


@pytest.mark.parametrize("last", [b"data: [DONE] \n\n", b"data:  [DONE]\t\n\n", b"data:[DONE]\n\n"])
async def test_blanks_around_openais_last_event_do_not_matter(
    upstream: Upstream, provide: Provide, last: bytes
) -> None:
    """Some servers send them."""
    upstream.answer(*stream(*openai_events(["a"])[:-1], last))

    assert (await ask(provide(OPENAI), streams=True)).completed is not None
