"""How a daemon leaves: whole, in time, and with a word for whoever is cut."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from fakes import answers
from fakes.models import openai
from fakes.module_file import module_file
from fakes.raw_http2 import SlowReader
from fakes.rpc import PROCESS, STREAM
from fakes.upstream import HANG, LAST_CHUNK, STREAM_HEAD, Upstream, chunk, response
from peers.live_daemon import ANY_PORT, Daemons, started
from penstock import AgentClient, Draining, PenstockError, ProcessResponse
from penstock.v1.agent_service_pb2 import ProcessRequest

TWENTY = range(20)
LONG = "y" * 500_000
WIDE = 2 * len(LONG)
ASK = ProcessRequest(input="go").SerializeToString()


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


@pytest.mark.parametrize(
    ("path", "window"),
    [(PROCESS, None), (PROCESS, WIDE), (STREAM, WIDE)],
    ids=["unary", "unary held by the system", "stream held by the system"],
)
async def test_an_answer_that_is_still_being_taken_comes_whole(
    path: str, window: int | None, daemons: Daemons, upstream: Upstream
) -> None:
    """The call has finished, as far as the daemon is concerned; its reader has yet to take most of it."""
    events = answers.openai_events([LONG])
    answer = (
        [STREAM_HEAD, *map(chunk, events), LAST_CHUNK] if path == STREAM else [response(answers.openai_answer(LONG))]
    )
    upstream.answer_always(*answer)
    daemon = await daemons.start(models={"fast": openai(upstream)})
    reader = SlowReader(every=0.03, window=window)
    await reader.connect(daemon.target)
    reader.ask(path, ASK)
    await daemon.line("call finished", code="OK")

    daemon.signal()
    await daemon.line("draining")

    assert await reader.read()
    assert reader.taken > len(LONG)
    assert await daemon.exit_code() == 0


async def test_a_reader_that_takes_nothing_is_waited_for_no_longer_than_that(
    daemons: Daemons, upstream: Upstream
) -> None:
    """Its answer is cut when the time to drain is over, and the log says so."""
    upstream.answer_always(response(answers.openai_answer(LONG)))
    daemon = await daemons.start(models={"fast": openai(upstream)}, server={"drain_timeout": "300ms"})
    reader = SlowReader(every=0.0)
    await reader.connect(daemon.target)
    reader.ask(PROCESS, ASK)
    await daemon.line("call finished", code="OK")

    assert await daemon.stop() == 0

    assert daemon.logged("leaving readers that did not take their answers in time", calls=1)
    await reader.read()
    assert reader.taken < len(LONG)


@pytest.mark.parametrize("is_draining", [False, True], ids=["serving", "draining"])
async def test_a_reader_that_stalls_is_cut(is_draining: bool, daemons: Daemons, upstream: Upstream) -> None:  # noqa: FBT001
    """It would pin its upstream; who looks for it goes on through the drain."""
    upstream.answer_always(STREAM_HEAD, *map(chunk, answers.openai_events([LONG])), LAST_CHUNK)
    impatient = "import penstockd.grpc_adapter\npenstockd.grpc_adapter.LONGEST_STALL = 0.1"
    agent = {"python": module_file(daemons.config.parent, impatient)}
    daemon = await daemons.start(
        models={"fast": openai(upstream)}, agents={"own": agent}, server={"drain_delay": "60s"}
    )
    if is_draining:
        daemon.signal()
        await daemon.line("draining")
    reader = SlowReader(window=0)
    await reader.connect(daemon.target)

    reader.ask(STREAM, ProcessRequest(agent="model/fast", input="go").SerializeToString())

    assert (await daemon.line("call finished"))["reason"] == "STREAM_BROKEN"
    reader.close()


@pytest.mark.parametrize("sends", ["nothing", "a call without its message"])
async def test_an_idle_daemon_waits_for_nobody(sends: str, daemons: Daemons) -> None:
    """Not for a client that is frozen, which answers no ping, nor for a message that never comes."""
    daemon = await daemons.start()
    reader = SlowReader(every=0.0)
    await reader.connect(daemon.target)
    if sends != "nothing":
        reader.ask(PROCESS, b"", is_whole=False)
    daemon.signal()
    await daemon.line("draining")

    async with asyncio.timeout(2.0):
        await daemon.line("stopped")

    assert await daemon.exit_code() == 0
    reader.close()


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


@pytest.mark.parametrize(
    ("statement", "served"),
    [("os.kill(os.getpid(), signal.SIGTERM)", False), ("atexit.register(os.kill, os.getpid(), signal.SIGTERM)", True)],
    ids=["starts", "has stopped"],
)
async def test_a_signal_is_taken_while_the_daemon(statement: str, served: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """It ends as it does in between, rather than by the signal: a container's first process would not end at all."""
    config = tmp_path / "penstock.yaml"
    agent = {"python": module_file(tmp_path, statement)}
    config.write_text(json.dumps({"agents": {"own": agent}}), encoding="utf-8")
    places = {"PENSTOCK_LISTEN": ANY_PORT, "PENSTOCK_ADMIN_LISTEN": ANY_PORT, "PENSTOCK_STATE_DIR": str(tmp_path)}

    async with started(["serve", "--config", str(config)], places) as daemon:
        if served:
            await daemon.line("serving")
            daemon.signal()

        assert await daemon.exit_code() == 0

    assert bool(daemon.logged("stopped")) == served
    assert daemon.said == []


@pytest.mark.parametrize("agent", ["stays", "waits_in_a_thread"])
async def test_code_of_ones_own_that_does_not_end_keeps_no_daemon(agent: str, daemons: Daemons) -> None:
    """Its caller is told, and what it left behind ends with the process."""
    own = {"python": f"imported.agents:{agent}"}
    daemon = await daemons.start(agents={"own": own}, server={"drain_timeout": "300ms"})
    async with AgentClient(daemon.target) as client:
        call = asyncio.create_task(client.process("go", agent="own"))
        await daemon.line("begun")
        daemon.signal()
        with pytest.raises(PenstockError):
            await call

    assert await daemon.exit_code() == 0
    assert daemon.logged(
        "left behind what does not end: a task or a thread of an agent or a provider, or a file that a reload reads"
    )


async def test_a_provider_of_ones_own_that_does_not_close_keeps_no_daemon(daemons: Daemons) -> None:
    """It has its time, and what it is still about ends with the process."""
    daemon = await daemons.start(models={"own": {"provider": "imported.own_models:staying"}})

    daemon.signal()

    assert await daemon.exit_code() == 0
    assert daemon.logged("a provider failed to close", model="own")


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
