"""One response as it arrives."""

import asyncio
from typing import Protocol

from penstockd.upstream import UpstreamFailure


class Source(Protocol):
    """Where a response comes from."""

    def resume(self) -> None:
        """Receive again, after as much as may wait unread has been read."""

    def abort(self) -> None:
        """Close at once."""


class Response:
    """What has arrived of one response and was not read yet: its connection writes it, one reader reads it.

    `status` is 0 until the head is whole; `is_ended` says that all has arrived. Header names are in lower case, and
    values of one name are joined by commas; they are bytes, as most are never read.
    """

    __slots__ = ("_failure", "_pieces", "_source", "_waiter", "headers", "is_ended", "status", "unread")

    def __init__(self, source: Source) -> None:
        """Expect a response from `source`."""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.is_ended = False
        self.unread = 0
        self._pieces: list[bytes] = []
        self._source = source
        self._failure: UpstreamFailure | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def arrived(self) -> bytes:
        """What nobody has read yet."""
        return b"".join(self._pieces)

    @property
    def is_whole(self) -> bool:
        """Whether all has arrived, read or not."""
        return self.is_ended and self._failure is None

    async def read(self) -> bytes:
        """Return all that has arrived since the last read, waiting for it; empty at the end.

        A failure is raised as soon as it is known, before what arrived with it: until then another model may answer.
        """
        while self._failure or not (self._pieces or self.is_ended):
            await self.news()
        taken = self.take()
        if not self.is_ended:
            self._source.resume()
        return taken

    def take(self) -> bytes:
        """Return what has arrived since the last read; a response that goes on is read instead."""
        pieces, self._pieces = self._pieces, []
        self.unread = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def cut(self) -> None:
        """Close the connection, unless the response has ended."""
        if not self.is_ended:
            self._source.abort()

    def add(self, piece: bytes) -> None:
        """Take a piece of the body; the reader is not woken by it."""
        self._pieces.append(piece)
        self.unread += len(piece)

    def fail(self, failure: UpstreamFailure) -> None:
        """Have the reader raise `failure`, unless the response is whole."""
        if not self.is_ended:
            self._failure = failure
        self.wake()

    def wake(self) -> None:
        """Let the reader look for news."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def news(self) -> asyncio.Future[None]:
        """What is done at the next news; raises what keeps the response from coming."""
        if self._failure is not None:
            raise self._failure
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        return waiter
