"""The HTTP port for operators and their tools."""

import asyncio
import hmac
import ipaddress
from collections.abc import Callable
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from penstockd.health import Health
from penstockd.logs.log import Log
from penstockd.page import read_page

LAST_ANSWERS = 1.0
"""Seconds for which the end of the daemon waits for requests that are being answered."""
PATIENCE = 10.0
"""Seconds in which a connection has to send the whole head of a request, its first one or the next."""
MOST_CONNECTIONS = 100
"""Connections that are open at once: each takes a file descriptor, which the port for calls needs too."""

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Admin:
    """Serves the page, /status, /metrics, /livez and /readyz.

    Where there is a token, to those who send it as a Bearer credential; but the page
    itself is open, and empty until it is given the token.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        token: str | None,
        registry: CollectorRegistry,
        health: Health,
        snapshot: Callable[[], object],
        log: Log,
    ) -> None:
        """Listen nowhere yet; port 0 lets the system choose. `snapshot` is taken for each /status."""
        self._host = host
        self._port = port
        self._token = token
        self._registry = registry
        self._health = health
        self._snapshot = snapshot
        self._log = log
        self._page = read_page()
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Where it was told to listen, as `HOST:PORT`."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    async def start(self) -> int:
        """Listen, and return the port; raises OSError where that cannot be."""
        app = web.Application(middlewares=[_harden, self._admit])
        app.router.add_get("/", self._show)
        app.router.add_get("/status", self._status)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=LAST_ANSWERS)
        await self._runner.setup()
        server = cast("web.Server", self._runner.server)  # there is one from now on
        self._listener = await asyncio.get_running_loop().create_server(
            partial(self._connection, server), self._host, self._port, reuse_port=False
        )
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _connection(self, server: web.Server) -> web.RequestHandler:
        """A new connection; where it is one too many, the oldest goes, as no answer takes as long as waiting does."""
        surplus = len(server.connections) - MOST_CONNECTIONS + 1
        if surplus > 0:
            self._log.warning("the admin port has too many connections and closes the oldest", most=MOST_CONNECTIONS)
            for oldest in server.connections[:surplus]:
                oldest.force_close()
        return _Connection(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=PATIENCE,
            access_log=None,  # type: ignore[arg-type]  # which it may be
        )

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who has the token; without one, who asks this machine by a name that is its own."""
        if self._token is None:
            if _is_loopback(self._host) and not _is_loopback(_asked_host(request)):
                raise web.HTTPMisdirectedRequest(text="this port answers as localhost only\n")
        elif request.path != "/" and not _has_token(request, self._token):
            raise web.HTTPUnauthorized(text="this port needs the admin token\n", headers={"www-authenticate": "Bearer"})
        return await handler(request)

    async def _show(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page.body, content_type="text/html", charset="utf-8", headers=self._page.headers)

    async def _status(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._snapshot()), content_type="application/json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST})

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        reasons = self._health.reasons
        return web.Response(text=", ".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)


class _Connection(web.RequestHandler):
    """A connection that is closed without waiting for who does not read, and where others' mistakes are no errors."""

    __slots__ = ()

    def force_close(self) -> None:
        """Close at once: until all is read, if ever, closing would keep the descriptor."""
        if self.transport is not None:
            self.transport.abort()
        super().force_close()

    def log_exception(self, *args: object, **kw: object) -> None:
        """Tell of what failed here; who sent what is no HTTP, such as a port scan, is told so and nobody else is."""
        if isinstance(kw.get("exc_info"), HttpProcessingError | web.RequestPayloadError):
            self.logger.debug("what came from %s is no HTTP", self.peername)
        else:
            super().log_exception(*args, **kw)


@web.middleware
async def _harden(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have no browser keep, guess at, frame or lend out what is served here."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(_HEADERS)
        raise
    response.headers.update(_HEADERS)
    return response


def _has_token(request: web.Request, token: str) -> bool:
    """Whether `token` was sent as a Bearer credential; a scheme may be spelled in either case (RFC 9110, 11.1)."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    is_token = hmac.compare_digest(sent.encode(errors="surrogateescape"), token.encode())
    return is_token and scheme.lower() == "bearer"


def _asked_host(request: web.Request) -> str:
    """The host that was asked for, without its port; a page of another site that got our address says its own."""
    try:
        return urlsplit(f"//{request.headers.get('host', 'localhost')}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
