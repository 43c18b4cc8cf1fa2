"""A call as the adapter makes it, for driving policies as functions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from penstockd.call import Call, Handler, Method, Reply, Send
from penstockd.metadata import Entries, Metadata
from penstockd.outcome import Outcome
from penstockd.request import Request

Q = TypeVar("Q")

PROCESS = Method("/penstock.v1.AgentService/Process")
STREAM = Method("/penstock.v1.AgentService/ProcessStream", streams=True)
REQUEST = Request(agent="default", input="hello")


async def nowhere(reply: Reply) -> None:
    """Take a reply and forget it."""


def a_call(
    request: Q,
    *,
    method: Method = PROCESS,
    send: Send = nowhere,
    outcome: Outcome | None = None,
    started_at: float = 1000.0,
    expires_at: float = float("inf"),
    metadata: Entries = (),
) -> Call[Q]:
    """A call with `request` that came at the second 1000."""
    return Call(
        method=method,
        request=request,
        send=send,
        outcome=outcome or Outcome(),
        started_at=started_at,
        expires_at=expires_at,
        metadata=Metadata(metadata),
        peer="ipv4:192.0.2.1:5",
    )


class Inner:
    """A handler that notes the calls which reach it, and then does what it is told."""

    def __init__(self, then: Callable[[Call[Any]], Awaitable[None]] | BaseException | None = None) -> None:
        self.calls: list[Call[Any]] = []
        self._then = then

    async def __call__(self, call: Call[Any]) -> None:
        self.calls.append(call)
        if isinstance(self._then, BaseException):
            raise self._then
        if self._then is not None:
            await self._then(call)


async def ending(call: Call[Q], handler: Handler[Q]) -> BaseException | None:
    """Handle `call` in a task of its own, as gRPC does, and return the error that ended it."""
    (error,) = await asyncio.gather(asyncio.ensure_future(_handled(call, handler)), return_exceptions=True)
    return error


async def _handled(call: Call[Q], handler: Handler[Q]) -> None:
    await handler(call)
