"""A real Envoy that runs our configuration, on free ports and in front of a daemon of a test."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

import penstock.v1
from peers import peer
from peers.live_daemon import PATIENCE

ROOT = Path(__file__).parents[2]
DESCRIPTORS = Path(penstock.v1.__file__).parent / "penstock.binpb"
STARTED = b"admin address: "
HEALTHY = "membership_healthy: 1"


@asynccontextmanager
async def envoy(directory: Path, target: str, *, ca: Path | None = None, until: str = HEALTHY) -> AsyncIterator[str]:
    """Run it for the length of the block, before the daemon at `target`, and return its URL once it has found that.

    Without `ca` it is a daemon in plaintext, and the file is changed as it says itself. `until` is another statistic of
    the cluster to wait for. The file must use nothing that Envoy will take away.
    """
    file = directory / "envoy.yaml"
    file.write_text(yaml.safe_dump(_placed(target, ca)), encoding="utf-8")
    command = (peer("envoy"), "--config-path", file, "--use-dynamic-base-id", "--concurrency", "1")
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    assert process.stderr is not None
    said: list[bytes] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while not said or STARTED not in said[-1]:
                said.append(await process.stderr.readline())
                assert said[-1], said
            draining = asyncio.create_task(process.stderr.read())
            admin = said[-1].partition(STARTED)[2].strip().decode()
            yield await _ready(f"http://{admin}", until)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    said.append(await draining)
    assert [line for line in b"".join(said).splitlines() if b"deprecated" in line] == []


def _placed(target: str, ca: Path | None) -> dict[str, Any]:
    """Our file with nothing changed but where things are."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "deploy/envoy/envoy.yaml").read_text(encoding="utf-8"))
    (listener,) = config["static_resources"]["listeners"]
    (cluster,) = config["static_resources"]["clusters"]
    listener["address"] = _socket("127.0.0.1", 0)
    config["admin"]["address"] = _socket("127.0.0.1", 0)
    (filters,) = [chain["filters"] for chain in listener["filter_chains"]]
    transcoder = filters[0]["typed_config"]["http_filters"][0]["typed_config"]
    transcoder["proto_descriptor"] = str(DESCRIPTORS)
    host, _, port = target.rpartition(":")
    if ca is None:
        del cluster["transport_socket"]
    else:
        secured = cluster["transport_socket"]["typed_config"]["common_tls_context"]
        secured["validation_context"]["trusted_ca"]["filename"] = str(ca)
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = _socket(host, int(port))
    return config


def _socket(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


async def _ready(admin: str, until: str) -> str:
    """Where it listens, once the cluster's statistics say `until`."""
    async with aiohttp.ClientSession(admin) as session:
        while True:
            async with session.get("/stats?filter=^cluster.penstock") as answer:
                if until in await answer.text():
                    break
            await asyncio.sleep(0.02)
        async with session.get("/listeners?format=json") as answer:
            (listener,) = (await answer.json())["listener_statuses"]
    address = listener["local_address"]["socket_address"]
    return f"http://{address['address']}:{address['port_value']}"
