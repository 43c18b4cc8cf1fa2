"""The HTTP port for operators and their tools."""

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from penstockd.health import Health

LAST_ANSWERS = 1.0
"""Seconds for which the end of the daemon waits for requests that are being answered."""


class Admin:
    """Serves /metrics, /livez and /readyz; with a token, to those who send it as a Bearer credential."""

    def __init__(self, *, host: str, port: int, token: str | None, registry: CollectorRegistry, health: Health) -> None:
        """Listen nowhere yet; port 0 lets the system choose."""
        self._host = host
        self._port = port
        self._token = token
        self._registry = registry
        self._health = health
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Where it was told to listen, as `HOST:PORT`."""
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    async def start(self) -> int:
        """Listen, and return the port; raises OSError where that cannot be."""
        app = web.Application(middlewares=[self._authenticate])
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=LAST_ANSWERS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, reuse_port=False)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _authenticate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        sent = request.headers.get("authorization", "").encode(errors="surrogateescape")
        if self._token is not None and not hmac.compare_digest(sent, f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized(text="this port needs the admin token\n", headers={"www-authenticate": "Bearer"})
        return await handler(request)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST})

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        reasons = self._health.reasons
        return web.Response(text=", ".join(reasons or ["ok"]) + "\n", status=503 if reasons else 200)
