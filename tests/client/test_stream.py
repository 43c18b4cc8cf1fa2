"""A streamed answer is text as it is written, and a whole response only if it ended well."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing

import grpc
import pytest

from fakes.behaviours import Hangs, breaks, loses_connection
from fakes.daemon import Ask, Behaviour, FakeDaemon
from fakes.twin import Client
from penstock import AgentClient, DeadlineExceeded, PenstockError, StreamBroken, SyncAgentClient, Unreachable

HOLDS_A_STREAM = """
import asyncio, sys
from penstock import AgentClient

async def ask():
    async with AgentClient(sys.argv[1]) as client:
        held.append(client.stream("hello"))
    held.append(AgentClient(sys.argv[1]).stream("hello"))
    print(await anext(held[-1]))

held = []
asyncio.run(ask())
"""


async def test_a_stream_yields_text_and_then_has_its_response(client: Client) -> None:
    """The response's output is the text that was streamed."""
    stream = client.stream("hello there", request_id="r1")

    pieces = [piece async for piece in stream]

    assert pieces == ["hello ", "there "]
    assert stream.response.output == "hello there "
    assert (stream.response.model_used, stream.response.request_id) == ("fast", "r1")


async def test_a_stream_has_no_response_before_its_end(client: Client) -> None:
    """Asking early is a mistake, not an empty answer."""
    async with client.stream("hello there") as stream:
        await anext(aiter(stream))

        with pytest.raises(RuntimeError, match="read to the end"):
            stream.response  # noqa: B018


async def test_an_empty_answer_is_a_stream_without_text(client: Client) -> None:
    """It ends well all the same."""
    stream = client.stream("")

    assert [piece async for piece in stream] == []
    assert stream.response.output == ""


async def test_an_end_without_completed_is_a_broken_stream(client: Client, daemon: FakeDaemon) -> None:
    """An OK status alone is never taken for a whole answer."""
    daemon.forgets_completed = True
    stream = aiter(client.stream("hello", request_id="r1"))

    assert await anext(stream) == "hello "
    with pytest.raises(StreamBroken) as caught:
        await anext(stream)

    assert (caught.value.request_id, caught.value.metadata) == ("r1", {"partial": "true"})


@pytest.mark.parametrize("behaviour", [breaks, loses_connection])
async def test_a_break_after_the_first_text_is_a_broken_stream(
    client: Client, daemon: FakeDaemon, behaviour: Behaviour
) -> None:
    """Whether the daemon says so or the connection is gone."""
    daemon.behave = behaviour
    stream = aiter(client.stream("hello"))
    await anext(stream)

    with pytest.raises(StreamBroken) as caught:
        await anext(stream)

    assert caught.value.metadata == {"partial": "true"}


async def test_a_lost_connection_before_the_first_text_is_unreachable(client: Client, daemon: FakeDaemon) -> None:
    """Nothing was said yet, so nothing is broken."""

    def behave(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
        context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    daemon.behave = behave

    with pytest.raises(Unreachable):
        await anext(aiter(client.stream("hello")))


async def test_a_deadline_that_passes_in_a_stream_is_no_broken_stream(client: Client, daemon: FakeDaemon) -> None:
    """The caller asked for no more time, whatever was said by then."""
    daemon.behave = Hangs(daemon)
    stream = aiter(client.stream("hello", timeout=0.5))
    await anext(stream)

    with pytest.raises(DeadlineExceeded) as caught:
        await anext(stream)
    assert caught.value.metadata == {"partial": "true"}


async def test_leaving_a_stream_cancels_its_call(client: Client, daemon: FakeDaemon) -> None:
    """The daemon learns of it at once, long before the deadline."""
    daemon.behave = Hangs(daemon)

    async with client.stream("hello") as stream:
        async for _ in stream:
            break

    assert await asyncio.to_thread(daemon.ended.wait, 5)


async def test_breaking_out_of_a_stream_ends_its_call(client: Client, daemon: FakeDaemon) -> None:
    """Nobody holds it any more, so nobody pays for the rest of it."""
    daemon.behave = Hangs(daemon)

    async for _ in client.stream("hello"):
        break

    assert await asyncio.to_thread(daemon.ended.wait, 5)


async def test_a_stream_that_another_thread_drops_is_cancelled_by_its_loop(daemon: FakeDaemon) -> None:
    """The garbage collector runs in whichever thread it likes, and grpc.aio only in one."""
    daemon.behave = Hangs(daemon)
    cancelled_by: list[int] = []
    async with AgentClient(daemon.target) as client:
        held = [client.stream("hello")]
        await anext(held[0])
        held[0]._events.add_done_callback(lambda _: cancelled_by.append(threading.get_ident()))  # noqa: SLF001 - who ends it

        await asyncio.to_thread(held.clear)
        assert await asyncio.to_thread(daemon.ended.wait, 5)

    assert cancelled_by == [threading.get_ident()]


def test_a_stream_that_outlives_its_loop_is_dropped_without_a_word(daemon: FakeDaemon) -> None:
    """As one that is held until the interpreter exits."""
    daemon.behave = Hangs(daemon)

    ran = subprocess.run(
        [sys.executable, "-c", HOLDS_A_STREAM, daemon.target], capture_output=True, text=True, check=True, timeout=30
    )

    assert (ran.stdout, ran.stderr) == ("Once upon\n", "")


async def test_a_stream_can_be_closed_as_any_async_iterator(daemon: FakeDaemon) -> None:
    """`contextlib.aclosing` takes it."""
    daemon.behave = Hangs(daemon)
    async with AgentClient(daemon.target) as client, aclosing(client.stream("hello")) as stream:
        await anext(stream)

        await stream.aclose()

        assert await asyncio.to_thread(daemon.ended.wait, 5)


async def test_a_stream_that_another_task_cancels_is_a_penstock_error(daemon: FakeDaemon) -> None:
    """The task that reads was not cancelled itself."""
    daemon.behave = Hangs(daemon)
    async with AgentClient(daemon.target) as client:
        stream = client.stream("hello")
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)

        stream.cancel()

        with pytest.raises(PenstockError, match="cancelled") as caught:
            await reading
    assert caught.value.reason == "CANCELLED"


def test_a_sync_stream_that_another_thread_cancels_is_the_same(daemon: FakeDaemon) -> None:
    """The twins agree on the reason."""
    daemon.behave = Hangs(daemon)
    with SyncAgentClient(daemon.target) as client:
        stream = client.stream("hello")
        next(stream)
        stream.cancel()

        with pytest.raises(PenstockError) as caught:
            next(stream)
    assert caught.value.reason == "CANCELLED"
