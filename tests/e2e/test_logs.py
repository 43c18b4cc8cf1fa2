"""The log of a real daemon: what it holds, what it never holds, and that nobody feels what happens to it."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from time import monotonic

import aiohttp
import pytest

from fakes.rpc import PROCESS, STREAM, wire
from peers.live_daemon import PATIENCE, PROGRAMS, Daemons, environment
from penstock.v1.agent_service_pb2 import ProcessRequest

CALLS = 20
AT_ONCE = 2.0
"""Seconds in which calls that wait for nobody have long ended."""
DROPPED = 'penstock_telemetry_dropped_total{penstock_signal="logs"} '


@dataclass(frozen=True)
class Unheard:
    """A daemon whose log nobody can read."""

    process: Process
    target: str
    admin: str

    async def page(self, path: str) -> str:
        """What its HTTP port says."""
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.admin}{path}") as answer:
            return await answer.text()

    async def stop(self) -> int:
        """Ask it to stop, and return what it exits with."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def unheard(state: Path, stderr: int, *, start: str = 'exec "$@"') -> AsyncIterator[Unheard]:
    """Start a daemon with this standard error, and return it once it serves."""
    target, admin = (f"127.0.0.1:{port}" for port in free_ports())
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", start, "sh", PROGRAMS / "penstockd", "serve", "--listen", target, "--admin-listen", admin),
        env=environment({"PENSTOCK_STATE_DIR": str(state), "PENSTOCK__LOG__FORMAT": "json"}),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=stderr,
    )
    daemon = Unheard(process, target, admin)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await is_ready(daemon):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)
        yield daemon
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@contextmanager
def a_broken_pipe() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def a_full_pipe() -> Iterator[int]:
    """A pipe whose reader does not read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 65536)
    except BlockingIOError:
        os.set_blocking(writer, True)
    yield writer
    os.close(writer)
    os.close(reader)


@contextmanager
def a_full_disk() -> Iterator[int]:
    """A file that takes nothing more."""
    file = os.open("/dev/full", os.O_WRONLY)
    yield file
    os.close(file)


@pytest.mark.parametrize(
    ("log", "counts"),
    [(a_broken_pipe, True), (a_full_disk, True), (a_full_pipe, False)],
    ids=["broken pipe", "full disk", "full pipe"],
)
async def test_no_call_feels_what_happens_to_the_log(
    tmp_path: Path, log: Callable[[], AbstractContextManager[int]], *, counts: bool
) -> None:
    """Each ends well and at once, the drain takes no longer, what was lost is counted; what waits is not lost yet."""
    with log() as stderr:
        async with unheard(tmp_path, stderr) as daemon:
            started = monotonic()
            codes = await asyncio.gather(*(ask(daemon, number) for number in range(CALLS)))
            took = monotonic() - started
            dropped = await lost(daemon, CALLS) if counts else await lost(daemon, 0)
            stopping = monotonic()
            exit_code = await daemon.stop()
            stopped = monotonic() - stopping

    assert codes == ["OK"] * CALLS
    assert took < AT_ONCE
    assert (dropped >= CALLS) is counts
    assert exit_code == 0
    assert stopped < 2 * AT_ONCE


async def test_a_daemon_without_a_standard_error_serves(tmp_path: Path) -> None:
    """Its log has no place to go."""
    async with unheard(tmp_path, DEVNULL, start='exec "$@" 2>&-') as daemon:
        assert await ask(daemon, 0) == "OK"
        assert await daemon.stop() == 0


async def test_the_level_follows_the_configuration(daemons: Daemons) -> None:
    """At SIGHUP, and back."""
    daemon = await daemons.start()
    async with wire(daemon.target) as client:
        daemons.configure(log={"level": "WARNING"})
        daemon.signal(signal.SIGHUP)
        await daemon.line("the configuration was reloaded")
        await client.ask(PROCESS, ProcessRequest(input="hi", request_id="unheard"))
        daemons.configure(log={"level": "INFO"})
        daemon.signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while not daemon.logged("call finished"):
                await client.ask(PROCESS, ProcessRequest(input="hi", request_id="heard"))
                await asyncio.sleep(0.05)

    assert {line["request_id"] for line in daemon.logged("call finished")} == {"heard"}


async def test_no_secret_of_anybodys_reaches_the_log(daemons: Daemons) -> None:
    """Though an agent of the operator's raises it, logs it, or has a library log it."""
    secret, key = "canary-secret-8f31", "sk-canary-key-0a1b2c3d"
    daemon = await daemons.start(
        environ={"CANARY": secret},
        models={"echo": {"provider": "echo", "headers": {"x-token": "${CANARY}"}}},
        agents={"leaky": {"python": "imported.agents:leaks", "route": {"models": ["echo"]}}},
        default_agent="leaky",
    )

    async with wire(daemon.target) as client:
        ended = await client.ask(PROCESS, ProcessRequest(input=f"{secret} {key}", request_id="r1"))
    line = await daemon.line("a call failed unforeseen", request_id="r1")
    said = json.dumps(daemon.lines)

    assert ended.code.name == "INTERNAL"
    assert "ValueError" in line["exception"]
    assert "***" in line["exception"]
    assert daemon.logged("the agent says", request_id="r1", agent="leaky", told="*** ***")
    assert daemon.logged("a library says *** ***")
    assert (secret in said, key in said) == (False, False)


async def test_a_fault_that_repeats_is_told_a_few_times_and_counted(daemons: Daemons) -> None:
    """While every call still has its line."""
    daemon = await daemons.start(agents={"failing": {"python": "imported.agents:fails"}}, default_agent="failing")

    async with wire(daemon.target) as client:
        await asyncio.gather(*(client.ask(PROCESS, ProcessRequest(input=str(number))) for number in range(30)))
    await daemon.line("call finished", count=30)
    told = len(daemon.logged("a call failed unforeseen"))
    await daemon.stop()

    assert told == 5
    (folded,) = [line for line in daemon.logged("a call failed unforeseen") if "repeated" in line]
    assert folded["repeated"] == 25


async def ask(daemon: Unheard, number: int) -> str:
    """Make a call, unary or a stream, and return its status."""
    async with wire(daemon.target) as client:
        path = STREAM if number % 2 else PROCESS
        return (await client.ask(path, ProcessRequest(input=f"hello {number}"))).code.name


async def lost(daemon: Unheard, count: int) -> float:
    """How many lines the daemon counts as lost, waiting for `count` of them."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = [line for line in (await daemon.page("/metrics")).splitlines() if line.startswith(DROPPED)]
            if found and float(found[0].split()[-1]) >= count:
                return float(found[0].split()[-1])
            await asyncio.sleep(0.05)


async def is_ready(daemon: Unheard) -> bool:
    """Whether it serves."""
    assert daemon.process.returncode is None, "the daemon ended"
    try:
        return (await daemon.page("/readyz")).startswith("ok")
    except aiohttp.ClientConnectionError:
        return False


def free_ports() -> tuple[int, int]:
    """Two ports that were free just now."""
    with socket() as one, socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
