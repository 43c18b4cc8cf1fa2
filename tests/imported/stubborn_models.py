"""Providers as an operator writes them that do not end when they should, for a real daemon to import."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from penstockd.call import Call, Completed, Delta
from penstockd.model import Prompt
from penstockd.outcome import FinishReason
from penstockd.usage import Usage

DONE = Completed(finish_reason=FinishReason.STOP, usage=Usage(output=1))

Provider = Callable[[Call[Prompt]], Awaitable[None]]


def wraps(name: str, settings: Mapping[str, object]) -> Provider:
    """A model that takes being cancelled for an error of its connection."""

    async def answer(call: Call[Prompt]) -> None:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError as error:
            raise ConnectionError("wrapped") from error

    return answer


def lingers(name: str, settings: Mapping[str, object]) -> Provider:
    """A model that does not end after its answer."""

    async def answer(call: Call[Prompt]) -> None:
        await call.send(Delta("text"))
        await call.send(DONE)
        await asyncio.sleep(60.0)

    return answer


def leaks(name: str, settings: Mapping[str, object]) -> Provider:
    """A model that leaves a task behind which goes on to send."""
    left: list[asyncio.Task[None]] = []

    async def pump(call: Call[Prompt]) -> None:
        await asyncio.sleep(1.0)
        for _ in range(20):
            await call.send(Delta("LEAK "))
            await asyncio.sleep(0.05)

    async def answer(call: Call[Prompt]) -> None:
        left.append(asyncio.create_task(pump(call)))
        await asyncio.wait(left)

    return answer


def counts(name: str, settings: Mapping[str, object]) -> Provider:
    """A model that takes its time to count to four."""

    async def answer(call: Call[Prompt]) -> None:
        for word in ("one ", "two ", "three ", "four"):
            await asyncio.sleep(0.25)
            await call.send(Delta(word))
        await call.send(DONE)

    return answer
