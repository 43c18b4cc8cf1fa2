"""A caller who leaves stops the work for it, upstream too, whatever phase it is in."""

import asyncio
from collections.abc import Callable

import pytest
from grpc import StatusCode

from fakes import answers
from fakes.models import anthropic, openai
from fakes.rpc import PROCESS, STREAM, wire
from fakes.upstream import HANG, STREAM_HEAD, Upstream, chunk, head
from peers.live_daemon import Daemons
from penstock import AgentClient
from penstock.v1.agent_service_pb2 import ProcessRequest

AT_ONCE = 0.2
HELLO = ProcessRequest(input="hello").SerializeToString()
FIRST_EVENT = answers.openai_events(["Once"])[1]

Play = Callable[[Upstream], None]


def says_nothing(upstream: Upstream) -> None:
    """Hang before the headers."""
    upstream.answer_always(HANG)


def begins_a_body(upstream: Upstream) -> None:
    """Hang in the middle of a whole answer."""
    upstream.answer_always(head(content_type="application/json", content_length="1000"), b'{"id":', HANG)


def begins_a_stream(upstream: Upstream) -> None:
    """Hang in the middle of a streamed answer."""
    upstream.answer_always(STREAM_HEAD, chunk(FIRST_EVENT), HANG)


@pytest.mark.parametrize(
    ("path", "play"),
    [
        (PROCESS, says_nothing),
        (PROCESS, begins_a_body),
        (STREAM, says_nothing),
        (STREAM, begins_a_stream),
    ],
    ids=["unary-before-headers", "unary-mid-answer", "stream-before-headers", "stream-mid-answer"],
)
@pytest.mark.parametrize("is_cached", [True, False])
async def test_cancelling_a_call_closes_its_upstream_connection(
    path: str, play: Play, daemons: Daemons, upstream: Upstream, *, is_cached: bool
) -> None:
    """Within 200 ms, as the upstream sees it; nobody is blamed, and the permit is back."""
    play(upstream)
    daemon = await daemons.start(models={"fast": openai(upstream)}, cache={"enabled": is_cached})

    async with wire(daemon.target) as caller, AgentClient(daemon.target) as client:
        call = caller.start(path, HELLO)
        await upstream.received()
        if play is begins_a_stream:
            await call.read()
        cancelled_at = asyncio.get_running_loop().time()
        call.cancel()

        assert await upstream.abandoned() - cancelled_at < AT_ONCE
        assert (await daemon.line("call finished"))["code"] == "CANCELLED"
        (model,) = await client.list_models()
        assert (model.in_flight, model.error_rate) == (0, 0)


@pytest.mark.parametrize("path", [PROCESS, STREAM])
async def test_cancelling_a_call_that_is_still_connecting_closes_the_connection(
    path: str, daemons: Daemons, upstream: Upstream
) -> None:
    """The upstream has accepted, and leaves the TLS handshake unanswered."""
    upstream.greet(HANG)
    address = upstream.url.replace("http:", "https:")
    daemon = await daemons.start(models={"fast": openai(upstream, base_url=address, timeouts={"connect": "20s"})})

    async with wire(daemon.target) as caller:
        call = caller.start(path, HELLO)
        await upstream.connected()
        cancelled_at = asyncio.get_running_loop().time()
        call.cancel()

        assert await upstream.abandoned() - cancelled_at < AT_ONCE


async def test_a_deadline_that_passes_closes_the_upstream_connection(daemons: Daemons, upstream: Upstream) -> None:
    """A client that waits no longer is like one that has left."""
    upstream.answer_always(*_anthropic_beginning(), HANG)
    daemon = await daemons.start(models={"fast": anthropic(upstream)}, cache={"enabled": True})

    async with wire(daemon.target) as caller:
        call = caller.start(STREAM, HELLO, timeout=0.5)
        started_at = asyncio.get_running_loop().time()
        await upstream.received()

        assert await upstream.abandoned() - started_at < 0.5 + AT_ONCE
        assert await call.code() == StatusCode.DEADLINE_EXCEEDED
    assert (await daemon.line("call finished"))["code"] == "DEADLINE_EXCEEDED"


async def test_a_client_that_vanishes_closes_the_upstream_connection(daemons: Daemons, upstream: Upstream) -> None:
    """Its connection ends, and no cancel was sent for the call."""
    upstream.answer_always(HANG)
    daemon = await daemons.start(models={"fast": openai(upstream)}, cache={"enabled": True})

    async with wire(daemon.target) as caller:
        call = caller.start(PROCESS, HELLO)
        await upstream.received()

    await upstream.abandoned()
    assert (await daemon.line("call finished"))["code"] == "CANCELLED"
    assert call.done()


def _anthropic_beginning() -> tuple[bytes, ...]:
    events = answers.anthropic_events(["Once"])
    return (STREAM_HEAD, *map(chunk, events[:4]))
