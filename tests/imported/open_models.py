"""Providers of an operator's own that hold something open until they are closed."""

import asyncio
from collections.abc import Mapping

from penstockd.call import Call, Completed, Delta
from penstockd.model import Prompt
from penstockd.outcome import FinishReason
from penstockd.usage import Usage

OPEN: list["Opened"] = []
"""Those that are not closed yet."""


class Opened:
    """A model that answers by what it holds open."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        OPEN.append(self)

    async def __call__(self, call: Call[Prompt]) -> None:
        await call.send(Delta("open"))
        await call.send(Completed(finish_reason=FinishReason.STOP, usage=Usage(output=1)))

    async def close(self) -> None:
        OPEN.remove(self)
        self.closed.set()


def opened(name: str, settings: Mapping[str, object]) -> Opened:
    """A model that is open from now on."""
    return Opened()
