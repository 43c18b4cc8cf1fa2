"""The way to an upstream: perhaps through a proxy, perhaps under TLS."""

import asyncio
import ssl

from penstockd.models.providers.connection import Connection
from penstockd.models.providers.origin import Origin
from penstockd.models.providers.proxy import Proxy, Tunnel
from penstockd.upstream import Broken, TimedOut


class Dialer:
    """Connects to one origin within `timeout` seconds, proxy and TLS included; without TLS there needs no `trust`."""

    def __init__(self, origin: Origin, *, proxy: Proxy | None, trust: ssl.SSLContext | None, timeout: float) -> None:
        self._origin = origin
        self._proxy = proxy
        self._trust = trust
        self._timeout = timeout

    async def dial(self, connection: Connection) -> None:
        """Connect `connection`, or raise TimedOut or Broken; cancelled, leave nothing open."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._dial(connection)
        except TimeoutError as error:
            raise TimedOut(f"not connected after {self._timeout:g} s", reason="connect_timeout") from error
        except ssl.SSLError as error:
            raise Broken(f"{type(error).__name__}: {error}", reason="tls_failed") from error
        except OSError as error:
            raise Broken(f"{type(error).__name__}: {error}", reason="connect_failed") from error

    async def _dial(self, connection: Connection) -> None:
        if self._proxy is None:
            await self._connect(self._origin, connection)
        elif self._origin.is_secure:
            await self._connect_through(self._proxy, connection)
        else:
            await self._connect(self._proxy.origin, connection)

    async def _connect(self, to: Origin, protocol: asyncio.Protocol) -> None:
        loop = asyncio.get_running_loop()
        trust = self._trust if to.is_secure else None
        await loop.create_connection(lambda: protocol, to.host, to.port, ssl=trust)

    async def _connect_through(self, proxy: Proxy, connection: Connection) -> None:
        tunnel = Tunnel()
        await self._connect(proxy.origin, tunnel)
        way = await tunnel.open(self._origin.authority, proxy.fields)
        if self._trust is None:
            raise RuntimeError("there is no TLS without trust")
        try:
            transport = await asyncio.get_running_loop().start_tls(
                way, connection, self._trust, server_hostname=self._origin.host
            )
        except BaseException:
            way.abort()
            raise
        if transport is None:
            raise ConnectionAbortedError("the connection was lost in the handshake")
        connection.connection_made(transport)
