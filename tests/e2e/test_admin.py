"""The HTTP port, as a kubelet and Prometheus see it."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import MappingProxyType

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from fakes.rpc import PROCESS, STREAM, wire
from peers.live_daemon import Daemons, Penstockd
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstockd.admin import MOST_CONNECTIONS

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


async def get(daemon: Penstockd, path: str, headers: Mapping[str, str] = NO_HEADERS) -> tuple[int, str]:
    """The status and the text."""
    async with aiohttp.ClientSession() as session, session.get(daemon.admin + path, headers=headers) as response:
        return response.status, await response.text()


async def calls_counted(daemon: Penstockd) -> dict[tuple[str, str], float]:
    """How many calls /metrics counts, by method and status."""
    _, text = await get(daemon, "/metrics")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        (sample.labels["rpc_method"].rpartition("/")[2], sample.labels["rpc_response_status_code"]): sample.value
        for sample in samples
        if sample.name == "rpc_server_call_duration_seconds_count"
    }


async def test_metrics_count_the_calls_that_were_made(daemons: Daemons) -> None:
    """Each by its method and its end, as Prometheus parses it."""
    daemon = await daemons.start()

    async with wire(daemon.target) as client:
        for _ in range(3):
            await client.ask(PROCESS, ProcessRequest(input="hi"))
        for _ in range(2):
            await client.ask(STREAM, ProcessRequest(input="hi"))
        await client.ask(PROCESS, ProcessRequest(input="hi", agent="nobody"))
        await client.ask(STREAM, b"\xff")

    assert await calls_counted(daemon) == {
        ("Process", "OK"): 3,
        ("ProcessStream", "OK"): 2,
        ("Process", "NOT_FOUND"): 1,
        ("ProcessStream", "INVALID_ARGUMENT"): 1,
    }


async def test_metrics_name_no_caller(daemons: Daemons) -> None:
    """Label sets are bounded: no user ids, no request ids."""
    daemon = await daemons.start()

    async with wire(daemon.target) as client:
        await client.ask(PROCESS, ProcessRequest(input="hi", user_id="user-7", request_id="request-7"))
    _, text = await get(daemon, "/metrics")

    assert "user-7" not in text
    assert "request-7" not in text


async def test_readiness_ends_with_the_drain_and_life_does_not(daemons: Daemons) -> None:
    """And the reason is said."""
    daemon = await daemons.start(server={"drain_delay": "20s"})
    assert await get(daemon, "/livez") == await get(daemon, "/readyz") == (200, "ok\n")

    daemon.signal()
    await daemon.line("draining")

    assert await get(daemon, "/livez") == (200, "ok\n")
    assert await get(daemon, "/readyz") == (503, "draining\n")


async def test_with_a_token_only_who_has_it_may_look(daemons: Daemons) -> None:
    """Beyond loopback there always is one."""
    daemon = await daemons.start(admin={"token": "let-me-see"})

    statuses = [
        (await get(daemon, "/metrics", headers))[0]
        for headers in ({}, {"authorization": "Bearer let-me-sea"}, {"authorization": "Bearer let-me-see"})
    ]

    assert statuses == [401, 401, 200]


async def test_connections_that_ask_for_nothing_take_no_descriptors_from_calls(daemons: Daemons) -> None:
    """However many somebody opens, calls and probes get through."""
    daemon = await daemons.start()
    before = open_files(daemon)
    async with AsyncExitStack() as stack:
        for _ in range(3 * MOST_CONNECTIONS):
            _, writer = await asyncio.open_connection(*daemon.admin.removeprefix("http://").split(":"))
            stack.callback(writer.close)
            writer.write(b"GET /livez HTTP/1.1\r\nx: ")

        assert await get(daemon, "/livez") == (200, "ok\n")
        assert open_files(daemon) <= before + MOST_CONNECTIONS
        async with wire(daemon.target) as client:
            await client.ask(PROCESS, ProcessRequest(input="hi"))

    assert await calls_counted(daemon) == {("Process", "OK"): 1}


def open_files(daemon: Penstockd) -> int:
    """How many descriptors it has."""
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))
