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
        tls = self._required_trust() if to.is_secure else None
        await loop.create_connection(lambda: protocol, to.host, to.port, ssl=tls)

    async def _connect_through(self, proxy: Proxy, connection: Connection) -> None:
        tunnel = Tunnel()
        await self._connect(proxy.origin, tunnel)
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
