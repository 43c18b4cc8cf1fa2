"""The HTTP port tells operators and their tools how the daemon is."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from penstockd.admin import Admin
from penstockd.health import Health


def admin(*, token: str | None = None, port: int = 0, health: Health | None = None) -> Admin:
    """An admin port with one counter."""
    registry = CollectorRegistry()
    Counter("seen", "What was seen.", registry=registry).inc(3)
    return Admin(host="127.0.0.1", port=port, token=token, registry=registry, health=health or Health([]))


@asynccontextmanager
async def serving(it: Admin) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve for the length of the block."""
    port = await it.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield session
    finally:
        await it.stop()


async def test_metrics_are_prometheus_text() -> None:
    """As Prometheus itself reads it."""
    async with serving(admin()) as http, http.get("/metrics") as response:
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}

    assert response.status == 200
    assert families["seen"].samples[0].value == 3.0


async def test_readiness_follows_health() -> None:
    """With the reasons, as long as there are any."""
    health = Health([])
    health.add_reason("draining")

    async with serving(admin(health=health)) as http:
        async with http.get("/readyz") as response:
            assert (response.status, await response.text()) == (503, "draining, starting\n")
        health.remove_reason("starting")
        health.remove_reason("draining")
        async with http.get("/readyz") as response:
            assert (response.status, await response.text()) == (200, "ok\n")


async def test_liveness_is_being_there() -> None:
    """Whatever stands against readiness."""
    async with serving(admin()) as http, http.get("/livez") as response:
        assert (response.status, await response.text()) == (200, "ok\n")


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/nothing"])
@pytest.mark.parametrize("sent", [{}, {"authorization": "Bearer wrong"}, {"authorization": "tokén"}])
async def test_a_token_keeps_strangers_out(path: str, sent: dict[str, str]) -> None:
    """Of every path, whether there is anything or not."""
    async with serving(admin(token="secret")) as http, http.get(path, headers=sent) as response:
        assert response.status == 401
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_token_lets_in() -> None:
    """As a Bearer credential."""
    headers = {"authorization": "Bearer secret"}

    async with serving(admin(token="secret")) as http, http.get("/livez", headers=headers) as response:
        assert response.status == 200


async def test_a_taken_port_is_an_error() -> None:
    """Two daemons do not share one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        it = admin(port=taken.getsockname()[1])

        with pytest.raises(OSError, match="address already in use"):
            await it.start()
        await it.stop()


async def test_stopping_what_never_started_is_fine() -> None:
    """A start that failed elsewhere ends like any other."""
    await admin().stop()
