"""Callers: so many at once, each asking again as soon as it was answered; they read bytes, and decode nothing."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import grpc

from benchmarks.configuration import KEY
from benchmarks.upstream import ANSWER, TOKENS
from penstock.v1 import agent_service_pb2 as pb

CONNECTIONS = 4
"""Several services call one daemon."""
TIMEOUT = 30.0
METADATA = (("authorization", f"Bearer {KEY}"),)
USERS = 100
INPUT = "Where is my parcel? I ordered it on Monday, and it was to be here yesterday. " * 3

_SENT_AT = re.compile(rb" token@(\d+)\.")


@dataclass(slots=True)
class Sample:
    """What callers saw: answers, tokens and the messages that carried them, and every wait in seconds."""

    calls: int = 0
    tokens: int = 0
    messages: int = 0
    waits: list[float] = field(default_factory=list)


Caller = Callable[[grpc.aio.Channel, Sample], Awaitable[None]]


@asynccontextmanager
async def channels(address: str) -> AsyncIterator[Sequence[grpc.aio.Channel]]:
    """Connect to a server, several times."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    opened = [grpc.aio.insecure_channel(address, options) for _ in range(CONNECTIONS)]
    try:
        yield opened
    finally:
        await asyncio.gather(*(channel.close() for channel in opened))


async def load(channels: Sequence[grpc.aio.Channel], caller: Caller, *, callers: int, seconds: float) -> Sample:
    """Let so many callers call for some seconds, and each end its last call."""
    sample = Sample()
    ends_at = time.monotonic() + seconds

    async def call_on(channel: grpc.aio.Channel) -> None:
        while time.monotonic() < ends_at:
            await caller(channel, sample)

    await asyncio.gather(*(call_on(channels[number % len(channels)]) for number in range(callers)))
    return sample


async def ask(channel: grpc.aio.Channel, sample: Sample) -> None:
    """Make one unary call that nobody made before; its wait is the whole of it."""
    await _ask(question("fast"), channel, sample)


async def ask_again(channel: grpc.aio.Channel, sample: Sample) -> None:
    """Make the one unary call that everybody makes: the bare server echoes, the daemon has its answer already."""
    await _ask(_REPEATED, channel, sample)


async def _ask(request: bytes, channel: grpc.aio.Channel, sample: Sample) -> None:
    process: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/penstock.v1.AgentService/Process")
    started_at = time.monotonic()
    answer = await process(request, timeout=TIMEOUT, metadata=METADATA)
    sample.waits.append(time.monotonic() - started_at)
    sample.calls += 1
    assert ANSWER.encode() in answer, "the answer is not the upstream's"


def stream_of(agent: str) -> Caller:
    """Return what reads one stream of `agent`; the way of each token from the upstream to here is a wait."""

    async def stream(channel: grpc.aio.Channel, sample: Sample) -> None:
        process: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
            "/penstock.v1.AgentService/ProcessStream"
        )
        read = 0
        async for message in process(question(agent), timeout=TIMEOUT, metadata=METADATA):
            now = time.monotonic_ns()
            sent = _SENT_AT.findall(message)
            sample.waits += [(now - int(at)) / 1e9 for at in sent]
            sample.messages += bool(sent)
            read += len(sent)
        sample.tokens += read
        sample.calls += 1
        assert read == TOKENS, "tokens were lost"

    return stream


def question(agent: str) -> bytes:
    """A request that nobody made before, for no cache to answer; both requests of the contract have these fields."""
    number = next(_numbers)
    request = pb.ProcessRequest(agent=agent, input=f"{INPUT}{number}", user_id=f"user-{number % USERS}")
    return request.SerializeToString()


_numbers = count()
_REPEATED = pb.ProcessRequest(agent="echo", input=ANSWER, user_id="user-0").SerializeToString()
