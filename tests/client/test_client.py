"""The asyncio client and its twin do the same, against a daemon that behaves."""

import asyncio
import threading
from datetime import UTC, datetime

import grpc
import pytest

from fakes.behaviours import Hangs, refuses
from fakes.daemon import FakeDaemon
from fakes.twin import Client
from penstock import AgentClient, DeadlineExceeded, ModelsUnavailable, PenstockError, SyncAgentClient, Unreachable
from penstock.v1.agent_service_pb2 import Agent
from penstock.v1.pool_service_pb2 import Model
from penstock.v1.usage_service_pb2 import GetUsageResponse, UsageTotals


async def test_process_returns_the_whole_response(client: Client, daemon: FakeDaemon) -> None:
    """The message of the contract, as the daemon sent it."""
    response = await client.process("hello there", agent="support", history=[("user", "hi")])

    assert response.output == "hello there "
    assert response.model_used == "fast"
    assert daemon.requests[0].agent == "support"
    assert daemon.requests[0].history[0].content == "hi"


async def test_a_refusal_is_raised_by_both_calls(client: Client, daemon: FakeDaemon) -> None:
    """The stream raises it at its first step."""
    daemon.behave = refuses

    with pytest.raises(ModelsUnavailable, match="all open"):
        await client.process("hello")
    with pytest.raises(ModelsUnavailable, match="all open"):
        await anext(aiter(client.stream("hello")))


async def test_every_call_has_the_clients_deadline(client: Client, daemon: FakeDaemon) -> None:
    """Thirty seconds, unless the call says otherwise."""
    await client.process("hello")
    usual = daemon.seconds_left
    await client.process("hello", timeout=5.0)

    assert 20 < usual <= 30.1
    assert 2 < daemon.seconds_left <= 5.1


async def test_a_deadline_that_passes_is_deadline_exceeded(client: Client, daemon: FakeDaemon) -> None:
    """It carries the request's name although no server could give it."""
    daemon.behave = Hangs(daemon)

    with pytest.raises(DeadlineExceeded) as caught:
        await client.process("hello", timeout=0.1, request_id="late")

    assert caught.value.request_id == "late"


async def test_agents_and_models_are_listed(client: Client, daemon: FakeDaemon) -> None:
    """As plain lists of the contract's messages."""
    daemon.agents = [Agent(name="support")]
    daemon.models = [Model(name="fast")]

    assert [agent.name for agent in await client.list_agents()] == ["support"]
    assert [model.name for model in await client.list_models()] == ["fast"]


async def test_usage_is_asked_for_by_plain_arguments(client: Client, daemon: FakeDaemon) -> None:
    """Moments become timestamps, and the answer is the contract's own message."""
    daemon.usage = GetUsageResponse(total=UsageTotals(requests=2))
    since = datetime(2026, 11, 1, tzinfo=UTC)

    usage = await client.get_usage(tenant="acme", user_id="u", agent="a", model="m", since=since)

    (asked,) = daemon.usage_requests
    assert usage.total.requests == 2
    assert (asked.tenant, asked.user_id, asked.agent, asked.model) == ("acme", "u", "a", "m")
    assert (asked.start_time.ToDatetime(UTC), asked.HasField("end_time")) == (since, False)


async def test_a_moment_of_no_time_zone_is_refused(client: Client) -> None:
    """Nobody knows which moment it is."""
    with pytest.raises(ValueError, match="time zone"):
        await client.get_usage(until=datetime(2026, 11, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"since": "yesterday"}, "since: must be a datetime"), ({"tenant": 5}, "tenant: must be made of str")],
)
async def test_a_question_of_another_type_is_a_type_error(client: Client, wrong: dict[str, object], said: str) -> None:
    """It is named, as an argument of a call is."""
    with pytest.raises(TypeError, match=said):
        await client.get_usage(**wrong)  # type: ignore[arg-type]


async def test_nobody_there_is_unreachable_at_once() -> None:
    """The call does not wait for a daemon to appear."""
    async with AgentClient("unix:/nowhere/penstock.sock") as client:
        for attempt in (client.process("hello"), client.list_agents(), client.list_models()):
            with pytest.raises(Unreachable):
                await attempt


@pytest.mark.parametrize("is_stream", [False, True])
async def test_cancelling_the_task_cancels_the_call(daemon: FakeDaemon, *, is_stream: bool) -> None:
    """The daemon sees the end, and the task its own CancelledError."""
    daemon.behave = Hangs(daemon)

    async def ask(client: AgentClient) -> None:
        if is_stream:
            async with client.stream("hello") as stream:
                async for _ in stream:
                    pass
        else:
            await client.process("hello")

    async with AgentClient(daemon.target) as client:
        task = asyncio.create_task(ask(client))
        await asyncio.to_thread(daemon.asked.acquire)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(daemon.ended.wait, 5)


async def test_whoever_cancels_a_call_finds_the_own_cancellation_again(daemon: FakeDaemon) -> None:
    """By its words: anyio's scopes, which frameworks put around handlers, know theirs by nothing else."""
    daemon.behave = Hangs(daemon)

    async with AgentClient(daemon.target) as client:
        task = asyncio.create_task(client.process("hello"))
        await asyncio.to_thread(daemon.asked.acquire)
        task.cancel("by this scope")

        with pytest.raises(asyncio.CancelledError, match="by this scope"):
            await task
        assert await asyncio.to_thread(daemon.ended.wait, 5)


async def test_closing_the_client_ends_the_calls_of_other_tasks(daemon: FakeDaemon) -> None:
    """Nobody cancelled those tasks, and a TaskGroup would not tell of a CancelledError."""
    daemon.behave = Hangs(daemon)
    client = AgentClient(daemon.target)
    task = asyncio.create_task(client.process("hello", request_id="r1"))
    await asyncio.to_thread(daemon.asked.acquire)

    await client.close()

    with pytest.raises(PenstockError, match="cancelled") as caught:
        await task
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.CANCELLED, "CANCELLED")
    assert caught.value.request_id == "r1"


async def test_a_closed_client_says_so(client: Client) -> None:
    """Whichever way it is asked, and however often it was closed."""
    await client.process("hello")
    await client.close()
    await client.close()

    for ask in (client.process, client.stream):
        with pytest.raises(RuntimeError, match="the client is closed"):
            await ask("hello")  # type: ignore[misc]
    for ask_for in (client.list_agents, client.list_models, client.get_usage):
        with pytest.raises(RuntimeError, match="the client is closed"):
            await ask_for()


async def test_a_client_closed_before_its_first_call_says_so(daemon: FakeDaemon) -> None:
    """It opens no channel again."""
    client = AgentClient(daemon.target)
    await client.close()

    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.process("hello")


def test_a_client_may_be_made_before_the_loop_that_uses_it(daemon: FakeDaemon) -> None:
    """A module-level client works, because the channel opens with the first call."""
    client = AgentClient(daemon.target)

    async def ask() -> str:
        async with client:
            return (await client.process("hello")).output

    assert asyncio.run(ask()) == "hello "


def test_a_client_on_another_loop_says_so(daemon: FakeDaemon) -> None:
    """Whichever way it is asked; nothing is sent."""
    client = AgentClient(daemon.target)

    async def begin() -> None:
        client.stream("hello")

    asyncio.run(client.list_agents())

    for ask in (client.process("hello"), begin(), client.list_models()):
        with pytest.raises(RuntimeError, match="make one for each loop"):
            asyncio.run(ask)
    assert not daemon.requests


def test_threads_share_one_sync_client(daemon: FakeDaemon) -> None:
    """Each gets the answer to its own question."""
    answers: dict[str, str] = {}
    with SyncAgentClient(daemon.target) as client:

        def ask(text: str) -> None:
            answers[text] = client.process(text).output

        threads = [threading.Thread(target=ask, args=(f"q{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answers == {f"q{number}": f"q{number} " for number in range(8)}


def test_every_failure_is_a_penstock_error(daemon: FakeDaemon) -> None:
    """One `except` catches them all, and the RPC's own error is its cause."""
    daemon.behave = refuses

    with SyncAgentClient(daemon.target) as client, pytest.raises(PenstockError) as caught:
        client.process("hello")

    assert isinstance(caught.value.__cause__, grpc.RpcError)
