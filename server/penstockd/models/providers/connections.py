"""Connections to one upstream, kept between exchanges."""

import asyncio

from penstockd.models.providers.connection import Connection, Unanswered
from penstockd.models.providers.dialer import Dialer
from penstockd.models.providers.response import Response
from penstockd.outcome import Attempt

KEPT = 15.0
"""Seconds for which a connection is kept unused; most servers close theirs later, and say so if they do not."""
CROSSING = 0.2
"""Seconds within which a server's close may still have crossed with our request on its way: a long round trip."""


class Connections:
    """Opens a connection for an exchange unless one is idle; the one that was used last is used first."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._idle: dict[Connection, float] = {}
        self._all: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def exchange(self, request: bytes, attempt: Attempt) -> Response:
        """Send `request` and return the response once its head is there; cancelled, its connection closes at once.

        Notes on `attempt` that it was sent. Raises TimedOut or Broken.
        """
        if (idle := self._newest_idle()) is not None:
            loop = asyncio.get_running_loop()
            asked_at = loop.time()
            try:
                return await idle.exchange(request, attempt)
            except Unanswered:
                # A server may close an idle connection just as we use it, and then has not read what we sent. That is
                # no attempt of the model's, so we ask again, once and on a new connection. It can only have been this
                # if the connection had been idle, was closed soon, not reset, and without a byte of a response:
                # anything else may have cost money, and repeating it is for the retry loop to decide and to count.
                if loop.time() - asked_at > CROSSING:
                    raise
        connection = Connection(self)
        try:
            await self._dialer.dial(connection)
        except BaseException:
            self.lost(connection)  # cancelled just as it was connected, it is not told that it was closed
            raise
        return await connection.exchange(request, attempt)

    def close(self) -> None:
        """Close every connection at once, and keep none any more."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._all):
            connection.abort()

    def opened(self, connection: Connection) -> None:
        """Know of `connection`, to close it one day."""
        self._all.add(connection)

    def freed(self, connection: Connection) -> None:
        """Keep `connection` for the next exchange."""
        if self._is_closed:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        self._idle[connection] = loop.time()
        if self._sweeping is None:
            self._sweeping = loop.call_later(KEPT, self._sweep)

    def lost(self, connection: Connection) -> None:
        """Forget `connection`."""
        self._all.discard(connection)
        self._idle.pop(connection, None)

    def _newest_idle(self) -> Connection | None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.is_open:
                return connection
        return None

    def _sweep(self) -> None:
        """Close what has been idle for too long, and come back when the next may have been."""
        loop = asyncio.get_running_loop()
        self._sweeping = None
        for connection, since in tuple(self._idle.items()):
            if (left := since + KEPT - loop.time()) > 0:
                self._sweeping = loop.call_later(left, self._sweep)
                return
            del self._idle[connection]
            connection.close()
