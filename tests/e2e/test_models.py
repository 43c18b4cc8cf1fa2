"""The way from a call to an upstream and back, over both RPCs."""

import asyncio

import grpc
import pytest

from fakes import answers
from fakes.models import anthropic, openai
from fakes.rpc import PROCESS, STREAM, wire
from fakes.stage import Stage
from fakes.upstream import CLOSE, LAST_CHUNK, RESET, STREAM_HEAD, Step, Upstream, chunk, response
from fakes.upstream import stream as streamed
from peers.live_daemon import Daemons
from penstock import AgentClient, ModelsUnavailable, StreamBroken
from penstock.v1.agent_service_pb2 import FINISH_REASON_LENGTH, ProcessRequest
from penstockd.usage import Usage

DOWN = response(b'{"error": {"message": "down"}}', status=500)
EVENTS = answers.openai_events(["Once", " upon", " a time"])


async def test_a_unary_call_asks_upstream_without_streaming_and_a_stream_with(
    daemons: Daemons, upstream: Upstream
) -> None:
    """Everything the agent and the caller say about the answer goes along."""
    upstream.answer(response(answers.openai_answer("whole")))
    upstream.answer(*streamed(*EVENTS))
    agent = {"instructions": "Be brief.", "parameters": {"temperature": 0.5, "max_output_tokens": 9}}
    daemon = await daemons.start(models={"fast": openai(upstream)}, agents={"default": agent})

    async with AgentClient(daemon.target) as client:
        await client.process("hi", temperature=0.25)
        assert "".join([text async for text in client.stream("hi")]) == "Once upon a time"

    whole, with_stream = [request.json for request in upstream.requests]
    assert whole == {
        "model": "gpt",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "temperature": 0.25,
        "max_tokens": 9,
    }
    assert with_stream == {
        **whole,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_an_answer_is_not_bounded_by_the_largest_request(daemons: Daemons, upstream: Upstream) -> None:
    """A client of gRPC's own takes 4 MiB at once, as it says itself; a stream's messages are smaller."""
    long = "word " * 2**20
    for _ in range(2):
        upstream.answer(response(answers.openai_answer(long)))
    upstream.answer(*streamed(*answers.openai_events([long[: 2**18]] * 20)))
    daemon = await daemons.start(models={"fast": openai(upstream)})

    async with AgentClient(daemon.target) as client:
        whole = await client.process("hi")
    async with wire(daemon.target) as stranger:
        refused = await stranger.ask(PROCESS, ProcessRequest(input="ho"))
        streaming = await stranger.ask(STREAM, ProcessRequest(input="hey"))

    assert whole.output == long
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "")
    assert streaming.code is grpc.StatusCode.OK
    assert sum(map(len, streaming.messages)) > 4 * 2**20


async def test_every_kind_of_token_is_counted_and_priced_once(daemons: Daemons, upstream: Upstream) -> None:
    """Cached and cache-write tokens are input, at their own prices."""
    usage = Usage(uncached_input=7, cached_input=5, cache_write_input=2, output=11)
    upstream.answer(response(answers.anthropic_answer("done", usage, ending="max_tokens")))
    price = {"input": 10, "cached_input": 1, "cache_write": 12, "output": 20}
    daemon = await daemons.start(models={"strong": anthropic(upstream, price=price)})

    async with AgentClient(daemon.target) as client:
        answer = await client.process("hi")

    used = answer.usage
    assert (used.input_tokens, used.output_tokens, used.total_tokens) == (14, 11, 25)
    assert (used.cached_input_tokens, used.cache_write_input_tokens) == (5, 2)
    assert answer.cost_nanousd == (7 * 10 + 5 * 1 + 2 * 12 + 11 * 20) * 1_000
    assert answer.finish_reason == FINISH_REASON_LENGTH


@pytest.mark.parametrize("is_streamed", [False, True], ids=["unary", "stream"])
async def test_a_model_that_fails_is_followed_by_the_next(
    is_streamed: bool,  # noqa: FBT001 - a parameter of the test
    daemons: Daemons,
    upstream: Upstream,
) -> None:
    """The caller sees one answer, and which attempts it took."""
    upstream.answer_always(DOWN)
    async with Upstream() as second:
        second.answer(*(streamed(*EVENTS) if is_streamed else [response(answers.openai_answer("Once upon a time"))]))
        daemon = await daemons.start(models={"fast": openai(upstream), "strong": openai(second)})

        async with AgentClient(daemon.target) as client:
            if is_streamed:
                stream = client.stream("hi")
                assert "".join([text async for text in stream]) == "Once upon a time"
                answer = stream.response
            else:
                answer = await client.process("hi")

    assert (answer.output, answer.model_used) == ("Once upon a time", "strong")
    attempts = [(attempt.model, attempt.reason) for attempt in answer.attempts]
    assert attempts == [("fast", "server_error"), ("strong", "")]


@pytest.mark.parametrize("ending", [CLOSE, RESET, LAST_CHUNK], ids=["closed", "reset", "ended"])
async def test_a_stream_that_breaks_is_never_a_short_success(
    ending: Step, daemons: Daemons, upstream: Upstream
) -> None:
    """Nor begun again at another model: the caller has half of an answer already."""
    upstream.answer_always(STREAM_HEAD, *map(chunk, EVENTS[:2]), ending)
    models = {"fast": openai(upstream), "echo": {"provider": "echo"}}
    daemon = await daemons.start(models=models)
    async with AgentClient(daemon.target) as client:
        stream = client.stream("hi")
        heard = await anext(stream)
        with pytest.raises(StreamBroken) as raised:
            await anext(stream)

    assert (heard, raised.value.metadata, upstream.calls) == ("Once", {"partial": "true"}, 1)


async def test_an_answer_that_lacks_nothing_but_its_last_event_is_broken_as_well(
    daemons: Daemons, upstream: Upstream
) -> None:
    """Its body ends as HTTP has it, and even the reason why it finished was said."""
    upstream.answer_always(*streamed(*EVENTS[:-1]))
    daemon = await daemons.start(models={"fast": openai(upstream)})
    heard = ""

    async with AgentClient(daemon.target) as client:
        stream = client.stream("hi")
        while heard != "Once upon a time":
            heard += await anext(stream)
        with pytest.raises(StreamBroken):
            await anext(stream)


async def test_when_every_model_fails_the_caller_learns_when_to_try_again(daemons: Daemons, upstream: Upstream) -> None:
    """And nothing of what the upstream said."""
    upstream.answer_always(DOWN)
    daemon = await daemons.start(models={"fast": openai(upstream)}, retry={"max_attempts": 2, "base_delay": "1ms"})

    async with AgentClient(daemon.target) as client:
        with pytest.raises(ModelsUnavailable) as raised:
            await client.process("hi")

    assert (raised.value.retry_after is not None, upstream.calls) == (True, 2)
    assert raised.value.request_id == (await daemon.line("call finished"))["request_id"]


def own(name: str, **settings: object) -> dict[str, object]:
    """A model that is a provider of imported.stubborn_models."""
    return {"provider": f"imported.stubborn_models:{name}", "model": name, **settings}


async def test_a_cancelled_call_asks_no_other_model_whatever_its_own_makes_of_it(
    daemons: Daemons, upstream: Upstream
) -> None:
    """The caller is gone, and nothing of it is the model's failure."""
    daemon = await daemons.start(models={"own": own("wraps"), "fast": openai(upstream)})

    async with AgentClient(daemon.target) as client:
        call = asyncio.ensure_future(client.process("hi"))
        await Stage(daemon, client).until("own", lambda model: model.in_flight == 1)
        call.cancel()
        line = await daemon.line("call finished", code="CANCELLED")

    assert [attempt["reason"] for attempt in line["attempts"]] == ["cancelled"]
    assert upstream.requests == []
    assert daemon.logged("an attempt failed") == []


async def test_what_a_model_left_behind_says_is_in_nobodys_answer(daemons: Daemons) -> None:
    """Its task goes on when its time is up, while the next model answers."""
    daemon = await daemons.start(
        models={"own": own("leaks", timeouts={"first_token": "0.5s"}), "second": own("counts")}
    )

    async with AgentClient(daemon.target) as client:
        stream = client.stream("hi")
        text = "".join([piece async for piece in stream])

    assert text == "one two three four"
    assert [(attempt.model, attempt.reason) for attempt in stream.response.attempts] == [
        ("own", "first_token_timeout"),
        ("second", ""),
    ]


async def test_a_whole_answer_does_not_wait_for_a_model_that_lingers(daemons: Daemons) -> None:
    """It has a second, and then the answer goes out; operators are told."""
    daemon = await daemons.start(models={"own": own("lingers")})

    async with AgentClient(daemon.target) as client:
        started_at = asyncio.get_running_loop().time()
        answer = await client.process("hi")
        took = asyncio.get_running_loop().time() - started_at

    assert answer.output == "text"
    assert 1.0 <= took < 3.0
    line = await daemon.line("a provider failed after its answer")
    assert line["error"] == "the provider went on for 1 s after its answer"


async def test_every_caller_is_told_which_model_answered(daemons: Daemons) -> None:
    """By its name here, though its provider tells none: who began the work, who joined it, who came later."""
    daemon = await daemons.start(models={"mine": own("counts")}, cache={"enabled": True})

    async with AgentClient(daemon.target) as client:
        answers = [
            *await asyncio.gather(client.process("hi"), client.process("hi")),
            await client.process("hi"),
            *await asyncio.gather(*(client.process("ho", idempotency_key="k") for _ in range(2))),
            await client.process("ho", idempotency_key="k"),
            await client.process("hi", idempotency_key="other"),
        ]

    assert [answer.model_used for answer in answers] == ["mine"] * len(answers)
