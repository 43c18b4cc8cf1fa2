"""Providers as an operator writes them, for a real daemon to import."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from penstockd.call import Call, Completed, Delta
from penstockd.model import Prompt
from penstockd.outcome import FinishReason
from penstockd.upstream import Broken
from penstockd.usage import Usage

DONE = Completed(finish_reason=FinishReason.STOP, usage=Usage(output=1))


class Quit(BaseException):
    """What a library might end its own work with."""


def wild(name: str, settings: Mapping[str, object]) -> Callable[[Call[Prompt]], Awaitable[None]]:
    """A model that does what it is asked to, to the harm of whoever lets it."""

    async def answer(call: Call[Prompt]) -> None:
        asked = call.request.turns[-1].content
        if asked == "exit":
            sys.exit(3)
        if asked == "quit":
            raise Quit
        await call.send(Delta("text"))
        await call.send(DONE)
        match asked:
            case "say more":
                await call.send(Delta("more"))
            case "say it twice":
                await call.send(DONE)
            case "fail after all":
                raise ValueError(asked)

    return answer


class Closing:
    """A model that fails once, and has nothing to answer with when it was closed."""

    def __init__(self) -> None:
        self._calls = 0
        self._is_closed = False

    async def __call__(self, call: Call[Prompt]) -> None:
        self._calls += 1
        if self._calls == 1:
            raise Broken("busy", reason="server_error", retry_after=1.0)
        if self._is_closed:
            raise ConnectionError("closed")
        await call.send(Delta("open"))
        await call.send(DONE)

    async def close(self) -> None:
        self._is_closed = True


def closing(name: str, settings: Mapping[str, object]) -> Closing:
    """A model of its own connections."""
    return Closing()


class Exiting(Closing):
    """A model that ends whatever closes it."""

    async def close(self) -> None:
        sys.exit(3)


def exiting(name: str, settings: Mapping[str, object]) -> Exiting:
    """A model of a library that takes itself for a program."""
    return Exiting()


class Staying(Closing):
    """A model that is not done with closing when it is told to be."""

    async def close(self) -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60.0)


def staying(name: str, settings: Mapping[str, object]) -> Staying:
    """A model that waits for an end which does not come."""
    return Staying()
