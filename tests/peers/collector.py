"""An OpenTelemetry Collector, which nobody here wrote: what it takes over OTLP it hands on, to be read."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import socket

from fakes.receiver import Receiver
from peers import peer

SIGNALS = ("traces", "metrics")
READY = b"Everything is ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Takes OTLP over HTTP at `url`; what it understood is in `received`."""

    url: str
    received: Receiver


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Run one; skip the test where it is not installed."""
    program = peer("otelcol")
    address = f"127.0.0.1:{_free_port()}"
    async with Receiver() as received:
        config = json.dumps(_config(address, received.url))
        process = await asyncio.create_subprocess_exec(
            program, "--config", f"yaml:{config}", stdout=DEVNULL, stderr=PIPE
        )
        assert process.stderr is not None
        said = b""
        try:
            async with asyncio.timeout(20):
                while READY not in said:
                    said = await process.stderr.readline()
                    assert said, "the collector ended before it was ready"
            # Its log is of no more interest, but has to go somewhere.
            draining = asyncio.create_task(process.stderr.read())
            yield Collector(url=f"http://{address}", received=received)
            process.terminate()
            await draining
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _config(address: str, hands_on_to: str) -> dict[str, object]:
    pipeline = {"receivers": ["otlp"], "exporters": ["otlp_http"]}
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": address}}}},
        "exporters": {
            "otlp_http": {"endpoint": hands_on_to, "compression": "none", "sending_queue": {"enabled": False}}
        },
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": dict.fromkeys(SIGNALS, pipeline),
        },
    }


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
