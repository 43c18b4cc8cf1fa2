"""An HTTP proxy, and the way through it."""

import asyncio
from base64 import b64encode
from typing import Self, cast
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from penstockd.models.providers.origin import Origin
from penstockd.upstream import CONNECT_FAILED, Broken

MAX_HEAD = 16 << 10
"""Bytes that a proxy's answer to CONNECT may have."""


class Proxy(Struct, frozen=True):
    """Where a proxy is, and the header fields that it is told besides those of the upstream."""

    origin: Origin
    fields: dict[str, str]

    @classmethod
    def of(cls, url: str) -> Self:
        """The proxy at a URL, which may have credentials; raises ValueError if it is no place for one."""
        parts = urlsplit(url)
        if parts.username is None:
            return cls(Origin.of(url), {})
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return cls(Origin.of(url), {"proxy-authorization": f"Basic {b64encode(credentials.encode()).decode()}"})


class Tunnel(asyncio.Protocol):
    """A connection to a proxy on which nothing was asked but CONNECT (RFC 9110, 9.3.6)."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._answer = asyncio.get_running_loop().create_future()

    async def open(self, authority: str, fields: dict[str, str]) -> asyncio.Transport:
        """Ask for a way to `authority` and return it; raise Broken if the proxy does not give it."""
        lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}", *(f"{name}: {fields[name]}" for name in fields)]
        self._transport.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        head: bytes = await self._answer
        version, _, rest = head.partition(b" ")
        if version.startswith(b"HTTP/1.") and rest.startswith(b"2"):
            return self._transport
        status = rest[:3].decode() if rest[:3].isdigit() else "no status at all"
        raise Broken(f"the proxy gives no way to the upstream: {status}", reason=CONNECT_FAILED)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Wait for a whole head."""
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > MAX_HEAD:
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — it says enough that there is no answer
        """Wait no longer."""
        self._answered()

    def _answered(self) -> None:
        if not self._answer.done():
            head, end, _ = self._head.partition(b"\r\n\r\n")
            self._answer.set_result(bytes(head) if end else b"")
