"""Python agents in a real daemon, and models asked bare."""

import asyncio

import pytest
from grpc import StatusCode

from fakes import answers
from fakes.models import openai
from fakes.rpc import PROCESS, STREAM, wire
from fakes.upstream import HANG, Upstream, response, stream
from imported.agents import SECRET
from peers.live_daemon import UNFORESEEN, Daemons
from penstock import AgentClient, AgentNotFound
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstockd.foreign_tasks import TIME_TO_END
from penstockd.usage import Usage

BOTH = pytest.mark.parametrize("path", [PROCESS, STREAM])


def python(name: str, **settings: object) -> dict[str, object]:
    """An agent that is a function of imported.agents."""
    return {"python": f"imported.agents:{name}", **settings}


async def test_an_agent_returns_its_text(daemons: Daemons) -> None:
    """It is given who asks, and what was said before."""
    daemon = await daemons.start(agents={"greeter": python("greets")})

    async with AgentClient(daemon.target) as client:
        history = [("user", "hello"), ("assistant", "hello")]
        response = await client.process("goodbye", user_id="u1", history=history)

    assert response.output == "default/u1 says goodbye after 2"
    assert list(response.attempts) == []


async def test_an_agent_yields_its_text_piece_by_piece(daemons: Daemons) -> None:
    """Asked whole it is the same text."""
    daemon = await daemons.start(agents={"counter": python("counts")})

    async with AgentClient(daemon.target) as client:
        pieces = [piece async for piece in client.stream("count")]
        whole = await client.process("count")

    assert (pieces, whole.output) == (["one", " two", " three"], "one two three")


async def test_an_agent_that_blocks_is_named_in_the_log(daemons: Daemons) -> None:
    """By where it is, while all others wait for it."""
    daemon = await daemons.start(agents={"sleeper": python("blocks")})

    async with AgentClient(daemon.target) as client:
        await client.process("2.5")
    line = await daemon.line("the event loop is held up")

    assert line["by"][0].endswith(" blocks")
    assert "imported/agents.py:" in line["by"][0]


async def test_the_model_calls_of_an_agent_are_accounted_together(daemons: Daemons, upstream: Upstream) -> None:
    """Usage and cost are those of all its questions."""
    usage = Usage(uncached_input=10, output=5)
    for text in ("first", "second"):
        upstream.answer(response(answers.openai_answer(text, usage)))
    price = {"input": 1, "output": 2}
    daemon = await daemons.start(models={"fast": openai(upstream, price=price)}, agents={"asker": python("asks")})

    async with AgentClient(daemon.target) as client:
        answer = await client.process("go")

    assert answer.output == "first, second"
    assert (answer.usage.total_tokens, answer.cost_nanousd) == (30, 2 * (10 * 1_000 + 5 * 2_000))
    assert [attempt.model for attempt in answer.attempts] == ["fast", "fast"]


async def test_an_agent_passes_a_models_stream_on(daemons: Daemons, upstream: Upstream) -> None:
    """As it comes, changed on its way."""
    upstream.answer(*stream(*answers.openai_events(["ah", " oh"])))
    daemon = await daemons.start(models={"fast": openai(upstream)}, agents={"shouter": python("shouts")})

    async with AgentClient(daemon.target) as client:
        pieces = [piece async for piece in client.stream("go")]

    assert "".join(pieces) == "AH OH"


async def test_an_agent_may_ask_by_another_route(daemons: Daemons, upstream: Upstream) -> None:
    """By the name of one in the configuration."""
    daemon = await daemons.start(
        models={"fast": openai(upstream), "echo": {"provider": "echo"}},
        routes={"other": {"models": ["echo"]}},
        agents={"asker": python("asks_elsewhere", route={"models": ["fast"]})},
    )

    async with AgentClient(daemon.target) as client:
        assert (await client.process("hi")).model_used == "echo"
    assert upstream.calls == 0


@BOTH
@pytest.mark.parametrize("name", ["fails", "fails_late", "quits", "refuses_oddly"])
async def test_what_an_agent_raises_stays_in_the_log(name: str, path: str, daemons: Daemons) -> None:
    """The caller is told INTERNAL and nothing of the text, in whatever part of the reply."""
    daemon = await daemons.start(agents={"broken": python(name)})

    async with wire(daemon.target) as client:
        ended = await client.ask(path, ProcessRequest(input="hi"))

    assert (ended.code, ended.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert SECRET not in repr(ended)
    assert SECRET in (await daemon.line(UNFORESEEN))["exception"]
    assert (await daemon.line("call finished"))["code"] == "INTERNAL"


@BOTH
@pytest.mark.parametrize("key", ["", "k"])
async def test_an_error_of_an_agents_own_is_told_as_it_is(key: str, path: str, daemons: Daemons) -> None:
    """Also by work that others might share."""
    daemon = await daemons.start(agents={"shop": python("is_shut")})

    async with wire(daemon.target) as client:
        ended = await client.ask(path, ProcessRequest(input="hi", idempotency_key=key))

    assert (ended.code, ended.reason, ended.message) == (StatusCode.UNAVAILABLE, "OVERLOADED", "the shop is shut")
    assert ended.trailing["grpc-retry-pushback-ms"] == "1500"


async def test_a_question_left_behind_ends_with_the_call(daemons: Daemons, upstream: Upstream) -> None:
    """At the upstream too, within 200 ms; the answer names the attempt and its cost."""
    upstream.answer_always(HANG)
    price = {"input": 1, "output": 2}
    daemon = await daemons.start(models={"fast": openai(upstream, price=price)}, agents={"leaver": python("leaves")})

    async with AgentClient(daemon.target) as client:
        answer = await client.process("go")
        answered_at = asyncio.get_running_loop().time()

    assert await upstream.abandoned() - answered_at < 0.2
    assert answer.output == "gone"
    assert [(attempt.model, attempt.reason) for attempt in answer.attempts] == [("fast", "cancelled")]
    assert answer.cost_nanousd > 0


@BOTH
async def test_a_model_of_ones_own_harms_nobody_else(path: str, daemons: Daemons) -> None:
    """Whatever ends it is its failure, and nothing comes after its answer."""
    daemon = await daemons.start(
        models={"own": {"provider": "imported.own_models:wild", "model": "own"}}, retry={"max_attempts": 1}
    )

    async with wire(daemon.target) as client:
        failed = [await client.ask(path, ProcessRequest(input=text)) for text in ("exit", "quit")]
        answered = [
            await client.ask(path, ProcessRequest(input=text))
            for text in ("say more", "say it twice", "fail after all")
        ]

    assert [ended.reason for ended in failed] == ["MODELS_UNAVAILABLE"] * 2
    assert [ended.code for ended in answered] == [StatusCode.OK] * 3
    assert [len(ended.messages) for ended in answered] == [3 if path == STREAM else 1] * 3
    lines = [await daemon.line("a provider failed after its answer", count=count) for count in (1, 2, 3)]
    assert [line["error"] for line in lines] == [
        "RuntimeError: the answer is complete already",
        "RuntimeError: the answer is complete already",
        "ValueError: fail after all",
    ]
    assert daemon.is_running


@BOTH
async def test_a_cancellation_that_nobody_asked_for_is_a_status_at_once(path: str, daemons: Daemons) -> None:
    """Bare gRPC would send none: the caller would hang to its deadline."""
    daemon = await daemons.start(
        agents={"greeter": python("greets"), "broken": python("cancels_itself")}, default_agent="greeter"
    )

    async with wire(daemon.target) as client:
        await client.ask(path, ProcessRequest(input="be connected"))
        started_at = asyncio.get_running_loop().time()
        ended = await client.ask(path, ProcessRequest(input="hi", agent="broken"))
        took = asyncio.get_running_loop().time() - started_at

    assert (ended.code, ended.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert took < 0.1


@BOTH
async def test_an_agent_that_swallows_its_cancellation_outlives_no_limit(path: str, daemons: Daemons) -> None:
    """Its caller is told in time, and the log of what goes on."""
    daemon = await daemons.start(
        agents={"own": python("stays")}, server={"max_call": {"unary": "500ms", "stream": "500ms"}}
    )

    async with wire(daemon.target) as client:
        started_at = asyncio.get_running_loop().time()
        ended = await client.ask(path, ProcessRequest(input="hi"))
        took = asyncio.get_running_loop().time() - started_at
        gone = await client.ask(path, ProcessRequest(input="hi"), timeout=0.2)

    assert (ended.code, ended.reason) == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert took < 0.5 + TIME_TO_END + 0.5
    assert gone.code is StatusCode.DEADLINE_EXCEEDED
    await daemon.line("an agent goes on though its call is over", count=2)
    lines = [await daemon.line("call finished", count=count) for count in (1, 2)]
    assert [line["code"] for line in lines] == ["DEADLINE_EXCEEDED"] * 2


@BOTH
@pytest.mark.parametrize("name", ["asks", "shouts"])
async def test_a_caller_who_leaves_ends_what_the_agent_has_asked(
    name: str, path: str, daemons: Daemons, upstream: Upstream
) -> None:
    """At the upstream, within 200 ms."""
    upstream.answer_always(HANG)
    daemon = await daemons.start(models={"fast": openai(upstream)}, agents={"asker": python(name)})

    async with wire(daemon.target) as caller:
        call = caller.start(path, ProcessRequest(input="hi").SerializeToString())
        await upstream.received()
        cancelled_at = asyncio.get_running_loop().time()
        call.cancel()

        assert await upstream.abandoned() - cancelled_at < 0.2
        assert (await daemon.line("call finished"))["code"] == "CANCELLED"


@BOTH
@pytest.mark.parametrize("cache", ["off", {}], ids=["alone", "shared"])
async def test_a_cancellation_that_nobody_asked_for_is_in_the_log(path: str, cache: object, daemons: Daemons) -> None:
    """With where it came from, also where the work is one that callers may share."""
    daemon = await daemons.start(cache={"enabled": True}, agents={"broken": python("cancels_itself", cache=cache)})

    async with wire(daemon.target) as client:
        ended = await client.ask(path, ProcessRequest(input="hi"))

    assert (ended.code, ended.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert "cancels_itself" in (await daemon.line(UNFORESEEN))["exception"]


async def test_a_model_is_asked_bare_where_that_is_allowed(daemons: Daemons) -> None:
    """It is an agent without instructions, which no list names."""
    daemon = await daemons.start(models={"echo": {"provider": "echo"}})
    closed = await daemons.start(models={"echo": {"provider": "echo"}}, allow_bare_models="false")

    async with AgentClient(daemon.target) as client:
        assert (await client.process("hi", agent="model/echo")).output == "hi"
        assert [agent.name for agent in await client.list_agents()] == ["default"]
    async with AgentClient(closed.target) as client:
        with pytest.raises(AgentNotFound):
            await client.process("hi", agent="model/echo")
