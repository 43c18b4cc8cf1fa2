"""How a daemon leaves: whole, in time, and with a word for whoever is cut."""

import asyncio
import signal

import pytest

from fakes import answers
from fakes.live_daemon import Daemons
from fakes.models import openai
from fakes.upstream import HANG, LAST_CHUNK, STREAM_HEAD, Upstream, chunk, response
from penstock import AgentClient, Draining, PenstockError, ProcessResponse

TWENTY = range(20)


async def _streamed(client: AgentClient, agent: str, *, has_begun: asyncio.Event) -> str:
    texts = []
    async with client.stream("go", agent=agent) as stream:
        async for text in stream:
            texts.append(text)
            has_begun.set()
        assert stream.response.output == "".join(texts)
    return "".join(texts)


async def test_calls_and_streams_that_run_are_finished_whole(daemons: Daemons, upstream: Upstream) -> None:
    """Twenty of each, all of them half way when SIGTERM comes."""
    first, *rest = answers.openai_events(["Once", " upon", " a time"])[1:]
    go_on = asyncio.Event()
    upstream.answer_always(STREAM_HEAD, chunk(first), go_on, *map(chunk, rest), LAST_CHUNK)
    async with Upstream() as whole:
        whole.answer_always(go_on, response(answers.openai_answer("Once upon a time")))
        daemon = await daemons.start(models={"streams": openai(upstream), "whole": openai(whole)})

        async with AgentClient(daemon.target) as client:
            begun = [asyncio.Event() for _ in TWENTY]
            streams = [asyncio.create_task(_streamed(client, "model/streams", has_begun=event)) for event in begun]
            calls = [asyncio.create_task(client.process("go", agent="model/whole")) for _ in TWENTY]
            await asyncio.gather(whole.received(20), *(event.wait() for event in begun))
            daemon.signal(signal.SIGTERM)
            assert (await daemon.line("draining"))["calls"] == 40
            go_on.set()

            assert {call.output for call in await asyncio.gather(*calls)} == {"Once upon a time"}
            assert set(await asyncio.gather(*streams)) == {"Once upon a time"}
        assert await daemon.exit_code() == 0
        assert daemon.logged("cutting calls that did not end in time") == []


@pytest.mark.parametrize("is_streamed", [False, True], ids=["unary", "stream"])
async def test_a_call_whose_upstream_is_stuck_ends_with_a_status_in_time(
    is_streamed: bool,  # noqa: FBT001 - a parameter of the test
    daemons: Daemons,
    upstream: Upstream,
) -> None:
    """The daemon does not wait for ever, and the caller is told to go elsewhere."""
    upstream.answer_always(HANG)
    daemon = await daemons.start(models={"fast": openai(upstream)}, server={"drain_timeout": "300ms"})

    async with AgentClient(daemon.target) as client:
        running = _streamed(client, "", has_begun=asyncio.Event()) if is_streamed else client.process("wait for me")
        call = asyncio.create_task(running)
        await upstream.received()
        daemon.signal()
        with pytest.raises(Draining) as raised:
            await call

    assert raised.value.retry_after is not None
    assert await daemon.exit_code() == 0
    assert (await daemon.line("call finished"))["reason"] == "DRAINING"
    await upstream.abandoned()


async def test_a_second_signal_hurries(daemons: Daemons, upstream: Upstream) -> None:
    """Neither the delay nor the timeout is waited for any longer."""
    upstream.answer_always(HANG)
    daemon = await daemons.start(
        models={"fast": openai(upstream)}, server={"drain_delay": "60s", "drain_timeout": "60s"}
    )

    async with AgentClient(daemon.target) as client:
        call = asyncio.create_task(client.process("wait for me"))
        await upstream.received()
        daemon.signal(signal.SIGINT)
        await daemon.line("draining")
        daemon.signal(signal.SIGINT)
        with pytest.raises(Draining):
            await call

    assert await daemon.exit_code() == 0


@pytest.mark.parametrize("agent", ["stays", "waits_in_a_thread"])
async def test_code_of_ones_own_that_does_not_end_keeps_no_daemon(agent: str, daemons: Daemons) -> None:
    """Its caller is told, and what it left behind ends with the process."""
    daemon = await daemons.start(agents={"own": {"python": f"fakes.agents:{agent}"}}, server={"drain_timeout": "300ms"})
    async with AgentClient(daemon.target) as client:
        call = asyncio.create_task(client.process("go", agent="own"))
        await daemon.line("begun")
        daemon.signal()
        with pytest.raises(PenstockError):
            await call

    assert await daemon.exit_code() == 0
    assert daemon.logged("left behind what does not end: a task or a thread of an agent or a provider")


async def test_a_caller_of_two_daemons_loses_nothing_when_one_is_drained(daemons: Daemons, upstream: Upstream) -> None:
    """Two hundred calls by ten callers, one daemon told to stop in their midst."""
    upstream.answer_always(response(answers.openai_answer("here")))
    servers = [
        await daemons.start(models={"fast": openai(upstream)}, server={"drain_delay": "200ms"}) for _ in range(2)
    ]
    left = iter(range(200))
    answered: list[ProcessResponse] = []
    lost: list[PenstockError] = []

    async def ask_on(client: AgentClient) -> None:
        for number in left:
            if number == 60:
                servers[0].signal()
            try:
                answered.append(await client.process(f"call {number}"))
            except PenstockError as error:
                lost.append(error)

    async with AgentClient(",".join(server.target for server in servers)) as client:
        await client.process("be there")
        await asyncio.gather(*(ask_on(client) for _ in range(10)))

    assert (len(answered), lost) == (200, [])
    assert await servers[0].exit_code() == 0
    assert servers[0].logged("call finished")
    assert servers[1].logged("call finished")
