"""The way to an upstream: perhaps through a proxy, perhaps under TLS."""

import asyncio
import socket
import ssl
from typing import cast

from aiohappyeyeballs import start_connection

from penstockd.models.providers.connection import Connection
from penstockd.models.providers.origin import Origin
from penstockd.models.providers.proxy import Proxy, Tunnel
from penstockd.models.providers.resolver import Addresses, Lookup, Resolver, system_lookup
from penstockd.upstream import CONNECT_FAILED, CONNECT_TIMEOUT, TLS_FAILED, Broken, TimedOut

HEAD_START = 0.25
"""Seconds for which an address is tried before the next one is, too, as RFC 8305, 5 recommends."""
UNACKNOWLEDGED = 10.0
"""Seconds that what was sent may go unacknowledged; a system acknowledges at once, however long its model thinks."""


class Dialer:
    """Connects to one origin within `timeout` seconds: lookup, proxy and TLS included. Only TLS needs `trust`."""

    def __init__(
        self,
        origin: Origin,
        *,
        proxy: Proxy | None,
        trust: ssl.SSLContext | None,
        timeout: float,
        look_up: Lookup = system_lookup,
    ) -> None:
        self._origin = origin
        self._proxy = proxy
        self._first = proxy.origin if proxy else origin
        self._resolver = Resolver(self._first, look_up)
        self._trust = trust
        self._timeout = timeout

    async def dial(self, connection: Connection) -> None:
        """Connect `connection`, or raise TimedOut or Broken; cancelled, leave nothing open."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._dial(connection)
        except TimeoutError as error:
            raise TimedOut(f"not connected after {self._timeout:g} s", reason=CONNECT_TIMEOUT) from error
        except ssl.SSLError as error:
            raise Broken(f"{type(error).__name__}: {error}", reason=TLS_FAILED) from error
        except OSError as error:
            raise Broken(f"{type(error).__name__}: {error}", reason=CONNECT_FAILED) from error

    async def _dial(self, connection: Connection) -> None:
        if self._proxy is not None and self._origin.is_secure:
            await self._connect_through(self._proxy, connection)
        else:
            await self._connect(connection)

    async def _connect(self, protocol: asyncio.Protocol) -> None:
        loop = asyncio.get_running_loop()
        tls = self._required_trust() if self._first.is_secure else None
        connected = await _race(await self._resolver.addresses())
        _limit_silence(connected)
        name = self._first.host if tls else None
        await loop.create_connection(lambda: protocol, sock=connected, ssl=tls, server_hostname=name)

    async def _connect_through(self, proxy: Proxy, connection: Connection) -> None:
        tunnel = Tunnel()
        await self._connect(tunnel)
        try:
            way = await tunnel.open(self._origin.authority, proxy.fields)
            await self._secure(way, connection)
        except BaseException:
            tunnel.abort()
            raise

    async def _secure(self, way: asyncio.Transport, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(way, connection, self._required_trust(), server_hostname=self._origin.host)
        if transport is None:
            raise ConnectionAbortedError("the connection was lost in the handshake")
        connection.connection_made(transport)  # start_tls leaves that to whoever calls it

    def _required_trust(self) -> ssl.SSLContext:
        """Whom to trust; raises RuntimeError for nobody, as TLS is never left out for want of it."""
        if self._trust is None:
            raise RuntimeError("there is no TLS without trust")
        return self._trust


async def _race(addresses: Addresses) -> socket.socket:
    """Connect to the first address that answers; cancelled, leave nothing open."""
    task = cast("asyncio.Task[None]", asyncio.current_task())
    cancelling = task.cancelling()
    connected = await start_connection(addresses, happy_eyeballs_delay=HEAD_START, interleave=1)
    # It swallows a cancellation that comes as it waits for the losers to end.
    if task.cancelling() > cancelling:
        connected.close()
        raise asyncio.CancelledError
    return connected


def _limit_silence(connected: socket.socket) -> None:
    """Have the system break a connection on which nothing is acknowledged any more, where it can.

    It is what tells a kept connection that something in between has dropped without a word from a model that thinks.
    Afterwards nobody knows whether the request was read, as it may be that only the acknowledgements were lost: it
    counts as sent, and may have been billed.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNACKNOWLEDGED * 1000))
