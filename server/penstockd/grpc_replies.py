"""What one RPC sends back through gRPC's servicer context: its replies, or its status."""

import asyncio
from math import inf
from typing import Any, NoReturn, TypeAlias

import grpc

from penstockd.call import Completed, Delta, Reply
from penstockd.clock import Clock
from penstockd.endpoint import Edge
from penstockd.errors import PenstockError
from penstockd.running import Running
from penstockd.status import message, trailers

# gRPC's classes are generic in their stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

COST = "penstock-cost-nanousd"
"""Trailing metadata of an answer whose price is known, for proxies, which read no message."""
LAST_WORD = 2.0
"""Seconds in which a call that has failed can still send its status."""
LATEST_CANCEL = 2.0
"""Seconds after a failed write in which gRPC cancels the call, whose caller is gone: it says so a moment later."""


class Replies:
    """The way out of one call.

    A stream's messages are written one by one; of any other call nothing is sent before all of it has gone well.
    """

    __slots__ = ("_are_whole", "_clock", "_context", "_edge", "_message", "_running", "_streams", "outcome")

    _edge: Edge

    def __init__(self, context: Context, running: Running, clock: Clock, *, streams: bool) -> None:
        """Let `running` know since when a message is being written."""
        self._streams = streams
        self._context = context
        self._running = running
        self._clock = clock
        self.outcome = running.outcome
        self._message: bytes | None = None
        self._are_whole = False

    def begin(self, edge: Edge) -> None:
        """Send the messages that `edge` makes of replies from now on."""
        self._edge = edge

    async def send(self, reply: Reply) -> None:
        """Write what is due with `reply`, or keep it for the end; the headers go out with the first message."""
        outcome = self.outcome
        if type(reply) is Delta:
            self._are_whole = False
            if outcome.first_content_at is None:
                outcome.first_content_at = self._clock.monotonic()
        else:
            self._are_whole = True
            if type(reply) is Completed and (cost := outcome.cost_nanousd) is not None:
                self._context.set_trailing_metadata(((COST, str(cost)),))
        for written in self._edge(reply):
            if not self._streams:
                self._message = written
                continue
            running = self._running
            if not running.has_written:
                await self._write_headers()
            running.writing_since = self._clock.monotonic()
            try:
                await self._context.write(written)
            except grpc.aio.InternalError:
                await asyncio.sleep(LATEST_CANCEL)
                raise
            running.writing_since = inf

    async def end(self) -> bytes | None:
        """Return the message that is left for gRPC to send, if any; raises RuntimeError where the answer is not whole.

        The headers of that one go out here and not where it is made: to wait there would wake every layer of the chain.
        """
        if not self._are_whole:
            raise RuntimeError("the handler ended before its answer did")
        self._running.is_answered = True
        if not self._running.has_written:
            await self._write_headers()
        return self._message

    async def _write_headers(self) -> None:
        outcome, running = self.outcome, self._running
        running.has_written = True
        running.writing_since = self._clock.monotonic()
        try:
            await self._context.send_initial_metadata((("x-request-id", outcome.request_id), *outcome.headers))
        except grpc.aio.InternalError:
            await asyncio.sleep(LATEST_CANCEL)
            raise
        running.writing_since = inf

    async def abort(self, error: PenstockError) -> NoReturn:
        """End the call with its status, or as cancelled where its reader is gone or takes nothing, so not that."""
        outcome, running = self.outcome, self._running
        running.writing_since = inf
        last = (*trailers(error, outcome.request_id, is_partial=running.has_written), *outcome.headers)
        try:
            async with asyncio.timeout(LAST_WORD):
                await self._context.abort(_STATUS_CODES[error.code], message(error), last)
        except (TimeoutError, grpc.aio.InternalError):
            raise asyncio.CancelledError from None


_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
