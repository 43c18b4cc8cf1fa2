"""The HTTP port tells operators and their tools how the daemon is."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import aiohttp
import pytest
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from penstockd.admin import Admin
from penstockd.health import Health


class Seen(Struct):
    """A snapshot."""

    name: str = "a </script> b"
    wait: float = inf


def admin(*, token: str | None = None, port: int = 0, health: Health | None = None, host: str = "127.0.0.1") -> Admin:
    """An admin port with one counter."""
    registry = CollectorRegistry()
    Counter("seen", "What was seen.", registry=registry).inc(3)
    return Admin(host=host, port=port, token=token, registry=registry, health=health or Health([]), snapshot=Seen)


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


@pytest.mark.parametrize("path", ["/metrics", "/status", "/livez", "/readyz", "/nothing"])
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer tokén"},
        {"authorization": "secret"},
        {"authorization": "Basic secret"},
    ],
)
async def test_a_token_keeps_strangers_out(path: str, sent: dict[str, str]) -> None:
    """Of every path, whether there is anything or not."""
    async with serving(admin(token="secret")) as http, http.get(path, headers=sent) as response:
        assert response.status == 401
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_token_lets_in(scheme: str) -> None:
    """As a Bearer credential, however that is spelled, as on the port for calls."""
    headers = {"authorization": f"{scheme} secret"}

    async with serving(admin(token="secret")) as http, http.get("/livez", headers=headers) as response:
        assert response.status == 200


async def test_the_page_is_there_for_whoever_has_yet_to_show_the_token() -> None:
    """A browser cannot send it before; there is nothing in the page but the form for it."""
    async with serving(admin(token="secret")) as http, http.get("/") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "default-src 'none'" in response.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/?token=secret", "/status?token=secret"])
async def test_a_token_in_an_address_opens_nothing(path: str) -> None:
    """It would be in every log on the way."""
    async with serving(admin(token="secret")) as http, http.get(path) as response:
        assert (response.status, "secret" in await response.text()) == (401 if "status" in path else 200, False)


async def test_the_snapshot_is_json_of_this_moment() -> None:
    """What JSON has no word for is null, and nobody keeps it."""
    async with serving(admin()) as http, http.get("/status") as response:
        assert response.headers["cache-control"] == "no-store"
        assert await response.json() == {"name": "a </script> b", "wait": None}


@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/nothing"])
async def test_browsers_are_told_to_keep_their_hands_off(path: str) -> None:
    """Of what there is, and of what there is not."""
    async with serving(admin()) as http, http.get(path) as response:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9464", 200),
        ("127.0.0.1", 200),
        ("[::1]:9464", 200),
        ("rebound.example:9464", 421),
        ("192.0.2.1", 421),
        ("[", 421),
    ],
)
async def test_without_a_token_it_answers_under_a_name_of_its_own(host: str, status: int) -> None:
    """A page whose name was rebound to this machine still says its name."""
    async with serving(admin()) as http, http.get("/status", headers={"host": host}) as response:
        assert response.status == status


@pytest.mark.parametrize("it", [admin(token="secret"), admin(host="0.0.0.0")])  # noqa: S104 - what is tested
async def test_beyond_loopback_or_with_a_token_any_name_will_do(it: Admin) -> None:
    """A scraper knows the daemon by the name that its network gives it."""
    headers = {"host": "penstock.internal:9464", "authorization": "Bearer secret"}

    async with serving(it) as http, http.get("/status", headers=headers) as response:
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
