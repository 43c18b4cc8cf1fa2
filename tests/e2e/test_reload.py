"""SIGHUP: the new configuration as a whole, or the old one as it was."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import TextIOWrapper

import aiohttp
import pytest

from fakes import answers
from fakes.models import openai
from fakes.module_file import module_file
from fakes.upstream import LAST_CHUNK, STREAM_HEAD, Upstream, chunk, response
from peers.live_daemon import Daemons, Penstockd
from penstock import AgentClient, AgentNotFound, PenstockError
from penstock.v1.pool_service_pb2 import BREAKER_STATE_OPEN

RELOADED, REFUSED = "the configuration was reloaded", "the new configuration is not used"
ECHO = {"provider": "echo"}


async def reload(daemon: Penstockd, *, says: str = RELOADED) -> None:
    """Send SIGHUP and wait for what it says."""
    seen = len(daemon.logged(says))
    daemon.signal(signal.SIGHUP)
    await daemon.line(says, count=seen + 1)


async def test_a_new_agent_appears_and_an_old_one_is_gone(daemons: Daemons) -> None:
    """The running daemon serves what the file says now."""
    daemon = await daemons.start(models={"echo": ECHO}, agents={"old": {}}, default_agent="old")

    async with AgentClient(daemon.target) as client:
        await client.process("hi", agent="old")
        daemons.configure(models={"echo": ECHO}, agents={"new": {}}, default_agent="new")
        await reload(daemon)

        assert [agent.name for agent in await client.list_agents()] == ["new"]
        assert (await client.process("hi", agent="new")).output == "hi"
        with pytest.raises(AgentNotFound):
            await client.process("hi", agent="old")


async def test_a_file_with_mistakes_changes_nothing_and_each_is_said(daemons: Daemons) -> None:
    """Not even the part of it that is good."""
    daemon = await daemons.start(models={"echo": ECHO}, agents={"old": {}})
    daemons.configure(models={"echo": {"provider": "ecoh"}}, agents={"new": {"description": 1}})

    await reload(daemon, says=REFUSED)

    await daemon.line(REFUSED, count=2)
    mistakes = {line["setting"]: line["mistake"] for line in daemon.logged(REFUSED)}
    assert sorted(mistakes) == ["agents.new.description", "models.echo.provider"]
    assert mistakes["agents.new.description"] == "must be text; put it in quotes"
    async with AgentClient(daemon.target) as client:
        assert [agent.name for agent in await client.list_agents()] == ["old"]


async def test_no_call_fails_while_the_configuration_changes_again_and_again(
    daemons: Daemons, upstream: Upstream
) -> None:
    """Calls by the old configuration end by it; calls by the new one find it ready."""
    upstream.answer_always(response(answers.openai_answer("here")))
    daemon = await daemons.start(models={"fast": openai(upstream)})
    failed: list[PenstockError] = []
    answered = 0
    is_over = asyncio.Event()

    async def ask_on(client: AgentClient) -> None:
        nonlocal answered
        while not is_over.is_set():
            try:
                answered += (await client.process("hi")).output == "here"
            except PenstockError as error:
                failed.append(error)

    async with AgentClient(daemon.target) as client, asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(ask_on(client))
        for number in range(8):
            before = answered
            daemons.configure(models={"fast": openai(upstream, headers={"x-version": str(number)})})
            await reload(daemon)
            while answered < before + 10 and not failed:
                await upstream.received(upstream.calls + 1)
        is_over.set()

    assert (failed, upstream.requests[-1].headers["x-version"]) == ([], "7")
    assert answered >= 80


async def test_a_model_that_stays_keeps_what_is_known_of_it(daemons: Daemons, upstream: Upstream) -> None:
    """A reload is no way to forget that an upstream is down."""
    upstream.answer_always(response(b"{}", status=500))
    models = {"fast": openai(upstream)}
    breaker = {"consecutive_failures": 1, "open_for": "60s"}
    daemon = await daemons.start(models=models, circuit_breaker=breaker)

    async with AgentClient(daemon.target) as client:
        with pytest.raises(PenstockError):
            await client.process("hi")
        daemons.configure(models=models, circuit_breaker=breaker, agents={"new": {}})
        await reload(daemon)

        (model,) = await client.list_models()
        assert (model.name, model.breaker_state) == ("fast", BREAKER_STATE_OPEN)


async def test_a_model_that_goes_is_left_once_its_calls_have_ended(daemons: Daemons, upstream: Upstream) -> None:
    """A stream through it ends whole; then its connections are closed."""
    first, *rest = answers.openai_events(["Once", " upon"])[1:]
    go_on = asyncio.Event()
    upstream.answer_always(STREAM_HEAD, chunk(first), go_on, *map(chunk, rest), LAST_CHUNK)
    daemon = await daemons.start(models={"old": openai(upstream), "echo": ECHO}, default_agent="default")

    async with AgentClient(daemon.target) as client:
        stream = client.stream("go", agent="model/old")
        texts = [await anext(stream)]
        daemons.configure(models={"echo": ECHO})
        await reload(daemon)
        assert [model.name for model in await client.list_models()] == ["echo"]
        assert not upstream.connections[0].gone.is_set()
        go_on.set()
        texts += [text async for text in stream]

    assert "".join(texts) == "Once upon"
    await upstream.abandoned()


async def test_a_call_between_two_attempts_ends_by_the_old_configuration(daemons: Daemons, upstream: Upstream) -> None:
    """It holds no permit while it waits, and its model's connections are kept for it all the same."""
    upstream.answer(response(b"{}", status=503, retry_after_ms="500"))
    upstream.answer(response(answers.openai_answer("at last")))
    daemon = await daemons.start(models={"old": openai(upstream)})

    async with AgentClient(daemon.target) as client:
        call = asyncio.create_task(client.process("go"))
        await upstream.received()
        await _until_the_first_attempt_failed(client)
        daemons.configure(models={"echo": ECHO})
        await reload(daemon)

        assert (await call).output == "at last"


async def test_a_provider_of_ones_own_is_closed_after_the_calls_that_came_by_it(daemons: Daemons) -> None:
    """It may not be able to open again, as ours are."""
    daemon = await daemons.start(models={"old": {"provider": "imported.own_models:closing"}})

    async with AgentClient(daemon.target) as client:
        call = asyncio.create_task(client.process("go"))
        await _until_the_first_attempt_failed(client)
        daemons.configure(models={"echo": ECHO})
        await reload(daemon)

        assert (await call).output == "open"


async def test_a_provider_of_ones_own_is_closed_after_keyed_work_that_its_caller_has_left(daemons: Daemons) -> None:
    """It is done by the old configuration, for whoever comes back for it."""
    daemon = await daemons.start(models={"old": {"provider": "imported.own_models:closing"}})

    async with AgentClient(daemon.target) as client:
        call = asyncio.create_task(client.process("go", idempotency_key="k"))
        await _until_the_first_attempt_failed(client)
        call.cancel()
        daemons.configure(models={"echo": ECHO})
        await reload(daemon)

        assert (await client.process("go", idempotency_key="k")).output == "open"


async def test_a_provider_of_ones_own_that_exits_when_closed_ends_no_daemon(daemons: Daemons) -> None:
    """Operators are told, and calls go on."""
    daemon = await daemons.start(models={"old": {"provider": "imported.own_models:exiting"}})
    daemons.configure(models={"echo": ECHO})

    await reload(daemon)

    line = await daemon.line("a provider failed to close")
    assert (line["model"], line["error"]) == ("old", "SystemExit: 3")
    async with AgentClient(daemon.target) as client:
        assert (await client.process("still here")).output == "still here"


async def test_a_setting_that_takes_a_restart_is_said(daemons: Daemons) -> None:
    """Rather than silently left as it was."""
    daemon = await daemons.start(models={"echo": ECHO})
    daemons.configure(models={"echo": ECHO}, server={"drain_timeout": "7s"})

    await reload(daemon)

    assert daemon.logged("this setting takes a restart to change", setting="server.drain_timeout")


@pytest.mark.parametrize("statement", ["sys.exit(3)", "raise KeyboardInterrupt"])
async def test_an_agent_that_leaves_takes_nobody_with_it(statement: str, daemons: Daemons) -> None:
    """A module that ends whoever imports it is a mistake like any other."""
    daemon = await daemons.start(models={"echo": ECHO})
    gone = {"python": module_file(daemons.config.parent, statement)}
    daemons.configure(models={"echo": ECHO}, agents={"gone": gone})

    await reload(daemon, says=REFUSED)

    [line] = daemon.logged(REFUSED)
    assert line["setting"] == "agents.gone.python"
    async with AgentClient(daemon.target) as client:
        assert (await client.process("hi")).output == "hi"


async def test_a_reload_that_is_asked_for_during_the_start_is_not_lost(daemons: Daemons) -> None:
    """Nor is it the end of the daemon: it reads the file again once it serves."""
    hangs_up = {"python": module_file(daemons.config.parent, "os.kill(os.getpid(), signal.SIGHUP)")}
    daemon = await daemons.start(models={"echo": ECHO}, agents={"old": hangs_up})

    await daemon.line(RELOADED)
    assert daemon.is_running


async def test_calls_and_probes_are_answered_while_the_file_is_read(daemons: Daemons) -> None:
    """A file of many tenants takes seconds to read and to check; nobody may take the daemon for dead meanwhile."""
    daemon = await daemons.start(models={"echo": ECHO}, agents={"old": {}}, default_agent="old")

    async with AgentClient(daemon.target) as client, being_read(daemon, daemons) as file:
        assert (await client.process("hi", agent="old")).output == "hi"
        async with aiohttp.ClientSession() as session, session.get(f"{daemon.admin}/livez") as response:
            assert response.status == 200
        assert daemon.logged(RELOADED) == []
        json.dump({"models": {"echo": ECHO}, "agents": {"new": {}}, "default_agent": "new"}, file)
        file.close()
        await daemon.line(RELOADED)

        assert [agent.name for agent in await client.list_agents()] == ["new"]


async def test_a_file_that_is_read_while_the_daemon_stops_is_not_used(daemons: Daemons) -> None:
    """The drain waits for nothing of it, and ends by the configuration that it began with."""
    daemon = await daemons.start(models={"echo": ECHO}, server={"drain_delay": "1s"})

    async with being_read(daemon, daemons) as file:
        daemon.signal()
        await daemon.line("draining")
        json.dump({"models": {"echo": ECHO}, "agents": {"new": {}}}, file)

    assert await daemon.exit_code() == 0
    assert daemon.logged(RELOADED) == daemon.logged(REFUSED) == []


async def test_a_file_that_nobody_ends_holds_up_no_drain(daemons: Daemons) -> None:
    """Such as a pipe, or one on a network that is gone."""
    daemon = await daemons.start(models={"echo": ECHO})

    async with being_read(daemon, daemons):
        daemon.signal()
        await daemon.line("stopped")

    assert await daemon.exit_code() == 0


@asynccontextmanager
async def being_read(daemon: Penstockd, daemons: Daemons) -> AsyncIterator[TextIOWrapper]:
    """The daemon reads its file, a pipe, until it is closed."""
    daemons.config.unlink()
    os.mkfifo(daemons.config)
    daemon.signal(signal.SIGHUP)
    with await asyncio.to_thread(daemons.config.open, "w", encoding="utf-8") as file:
        yield file


async def _until_the_first_attempt_failed(client: AgentClient) -> None:
    """The daemon shows it as an error rate."""
    error_rate = 0.0
    while not error_rate:
        (model,) = await client.list_models()
        error_rate = model.error_rate
