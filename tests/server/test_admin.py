"""The HTTP port tells operators and their tools how the daemon is."""

import asyncio
import logging
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from fakes import virtual_time
from fakes.virtual_time import VirtualClock
from penstockd.admin import MOST_CONNECTIONS, PATIENCE, Admin
from penstockd.health import Health
from penstockd.logs.log import Log

HALF_A_HEAD = b"GET /livez HTTP/1.1\r\nx: "
ASKED = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Seen(Struct):
    """A snapshot."""

    name: str = "a </script> b"
    wait: float = inf


def admin(
    *,
    token: str | None = None,
    port: int = 0,
    health: Health | None = None,
    host: str = "127.0.0.1",
    snapshot: Callable[[], object] = Seen,
) -> Admin:
    """An admin port with one counter."""
    registry = CollectorRegistry()
    Counter("seen", "What was seen.", registry=registry).inc(3)
    return Admin(
        host=host,
        port=port,
        token=token,
        registry=registry,
        health=health or Health([]),
        snapshot=snapshot,
        log=Log("penstockd"),
    )


@asynccontextmanager
async def serving(it: Admin) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve for the length of the block."""
    port = await it.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield session
    finally:
        await it.stop()


@asynccontextmanager
async def connected(port: int, *sent: bytes) -> AsyncIterator[Sequence[tuple[StreamReader, StreamWriter]]]:
    """One connection after the other that sends what stands there, closed with the block."""
    async with AsyncExitStack() as stack:
        connections = []
        for each in sent:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(each)
            connections.append((reader, writer))
        yield connections


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


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, ASKED, ASKED + HALF_A_HEAD])
def test_who_does_not_send_a_whole_head_in_time_is_shown_out(sent: bytes) -> None:
    """Be it the first or the next; each connection takes a descriptor from the port for calls."""
    clock = VirtualClock()

    async def wait_for_the_end() -> float:
        it = admin()
        async with connected(await it.start(), sent) as [(reader, _)]:
            started_at = clock.monotonic()
            await reader.read()
            waited = clock.monotonic() - started_at
        await it.stop()
        return waited

    assert virtual_time.run(clock, wait_for_the_end()) == pytest.approx(PATIENCE, abs=0.1)


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, ASKED])
async def test_one_connection_too_many_takes_the_place_of_the_oldest(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A probe gets through, whoever sits there; and the operator is told."""
    it = admin()
    port = await it.start()
    async with connected(port, *[sent] * MOST_CONNECTIONS, ASKED) as [(oldest, _), *_, (newest, _)]:
        answered = await newest.readuntil(b"ok\n")
        ended = await oldest.read()
    await it.stop()

    assert answered.startswith(b"HTTP/1.1 200 OK")
    assert ended == b"" or (sent == ASKED and ended.endswith(b"ok\n"))
    assert caplog.messages == ["the admin port has too many connections and closes the oldest"]


async def test_who_reads_nothing_makes_room_too() -> None:
    """What was written for them is not waited for."""
    it = admin(snapshot=lambda: "long" * 5_000_000)
    port = await it.start()
    async with connected(port, ASKED.replace(b"livez", b"status")) as [(reader, _)]:
        await reader.readuntil(b"long")
        before = open_files()
        async with connected(port, *[b""] * MOST_CONNECTIONS):
            assert open_files() - before == 2 * MOST_CONNECTIONS - 1
    await it.stop()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00garbage\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 10_000 + b"\r\n\r\n",
        ASKED + b"\x16\x03\x01\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nno length\r\n",
    ],
)
async def test_what_is_no_http_is_no_error_of_ours(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A port scan fills no log; who sent it is told."""
    it = admin()
    with caplog.at_level(logging.INFO):
        async with connected(await it.start(), sent) as [(reader, _)]:
            told = await reader.read()
        await it.stop()

    assert b"HTTP/1." in told
    assert caplog.records == []


async def test_an_error_of_ours_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """With where it happened."""
    async with serving(admin(snapshot=lambda: 1 / 0)) as http, http.get("/status") as response:
        assert response.status == 500

    assert "ZeroDivisionError" in caplog.text


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/dev/fd").iterdir()))
