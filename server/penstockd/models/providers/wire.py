"""HTTP to one upstream: bounded, impatient about nothing but connecting, and honest about how it ended."""

import asyncio
import io
import ssl
from collections.abc import Mapping
from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler
from msgspec import Struct
from yarl import URL

from penstockd.upstream import Broken, TimedOut, UpstreamFailure

MAX_BODY = 16 << 20
MAX_EXCERPT = 64 << 10
EXCERPT_PATIENCE = 1.0
"""Seconds an error's body may take; its status alone says enough."""
LINGER = 1.0
"""Seconds a response may take to end after its last event, to keep its connection."""
LARGE_REQUEST = 1 << 20
"""Bytes from which on aiohttp wants to write a body in pieces."""


class Target(Struct, frozen=True, kw_only=True):
    """Where an upstream is and how to get there; `ca` is a file of PEM certificates, `connect_timeout` in seconds."""

    base_url: str
    api_key: str = ""
    headers: Mapping[str, str] = {}
    ca: str | None = None
    proxy: str | None = None
    connect_timeout: float = 2.0


class Wire:
    """Posts JSON to one URL. It neither follows redirects, decompresses, keeps cookies, nor reads the environment."""

    def __init__(self, target: Target, *, path: str, headers: Mapping[str, str]) -> None:
        """`headers` are the dialect's; the target's own come last and win."""
        self._target = target
        self._url = URL(target.base_url.rstrip("/") + path)
        self._headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "penstock",
            **{name.lower(): value for name, value in headers.items()},
            **{name.lower(): value for name, value in target.headers.items()},
        }
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Prepare for calls, on the running event loop; raise OSError if the CA file cannot be read."""
        self._opened()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        trust = ssl.create_default_context(cafile=self._target.ca) if self._target.ca else True
        connector = aiohttp.TCPConnector(limit=0, ssl=trust)
        connector._factory = partial(_Connection, loop=asyncio.get_running_loop())  # noqa: SLF001 — see _Connection
        return aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._target.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes) -> "Exchange":
        """Send `body` and return the exchange once its headers are there; the caller closes it."""
        data = io.BytesIO(body) if len(body) > LARGE_REQUEST else body
        try:
            response = await self._opened().post(self._url, data=data, allow_redirects=False, proxy=self._target.proxy)
        except aiohttp.ClientError as error:
            raise _translated(error) from error
        return Exchange(response)


class _Connection(ResponseHandler):
    """A connection of aiohttp 3, but for one thing: whoever waits for its body learns that it is lost.

    After bytes that are no HTTP, aiohttp closes the connection and lets the reader of the body wait for ever.
    """

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the body with the connection."""
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the response ended in its middle"))


class Exchange:
    """One response as it arrives. Closing it cuts the connection, unless all of it has been read."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._is_finished = False
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def is_encoded(self) -> bool:
        """Whether the body is compressed, though we asked for it not to be."""
        return self.headers.get("content-encoding", "").strip().lower() not in ("", "identity")

    @property
    def is_whole(self) -> bool:
        """Whether the body comes in one piece, whatever was asked for: JSON, or a page that somebody put in between."""
        return self._response.content_type in ("application/json", "text/html")

    async def read(self) -> bytes:
        """Return what has arrived since the last read, waiting for it; empty at the end."""
        try:
            return await self._response.content.readany()
        except aiohttp.ClientError as error:
            raise _translated(error) from error

    async def body(self) -> bytes:
        """Return the whole body; raise Broken if it is cut or too long."""
        body = bytearray()
        while chunk := await self.read():
            body += chunk
            if len(body) > MAX_BODY:
                raise Broken(f"the answer is longer than {MAX_BODY} bytes", reason="malformed")
        return bytes(body)

    async def excerpt(self) -> bytes:
        """Return as much of the body as is fit to explain an error: bounded in length and time, never failing."""
        body = bytearray()
        try:
            async with asyncio.timeout(EXCERPT_PATIENCE):
                while len(body) < MAX_EXCERPT and (chunk := await self.read()):
                    body += chunk
        except (UpstreamFailure, TimeoutError):
            pass
        return bytes(body[:MAX_EXCERPT])

    def finish(self) -> None:
        """Expect nothing more: give the response a moment to end by itself, so that its connection can serve again."""
        self._is_finished = True
        if self._response.connection is not None:
            asyncio.get_running_loop().call_later(LINGER, self._response.close)

    def close(self) -> None:
        """Cut the connection unless the response has ended or was finished."""
        if not self._is_finished:
            self._response.close()


def _translated(error: aiohttp.ClientError) -> UpstreamFailure:
    message = f"{type(error).__name__}: {error}"[:200]
    match error:
        case aiohttp.ConnectionTimeoutError():
            return TimedOut(message, reason="connect_timeout")
        case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError():
            return Broken(message, reason="tls_failed")
        case aiohttp.ClientConnectorError() | aiohttp.ClientHttpProxyError():
            return Broken(message, reason="connect_failed")
        case aiohttp.ClientResponseError():
            return Broken(message, reason="malformed")
        case aiohttp.ClientPayloadError():
            return Broken(message, reason="truncated")
        case _:
            return Broken(message, reason="connection_reset")
