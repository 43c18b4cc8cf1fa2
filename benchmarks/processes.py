"""The processes of a measurement: upstream, collector, relay and daemon, each alone, and what each of them has used."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from benchmarks.configuration import Configuration

PENSTOCKD = (str(Path(sys.executable).with_name("penstockd")),)
UNACCOUNTED = (sys.executable, "-m", "benchmarks.unaccounted")
"""The daemon without a ledger."""
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that serves at `address`, `startup` seconds after it was started."""

    pid: int
    address: str
    startup: float

    @property
    def cpu(self) -> float:
        """Seconds of CPU used, by its own clock (clock_getcpuclockid(3), Linux): /proc counts in hundredths."""
        return time.clock_gettime(~self.pid << 3 | 2)

    @property
    def memory(self) -> int:
        """Bytes resident."""
        return int(psutil.Process(self.pid).memory_info().rss)


def upstream(folder: Path) -> AbstractAsyncContextManager[Process]:
    """Run the fake upstream; what it says goes into `folder`."""
    return _running([sys.executable, "-m", "benchmarks.upstream"], folder / "upstream")


def collector(folder: Path) -> AbstractAsyncContextManager[Process]:
    """Run what takes the daemon's telemetry: the fake upstream once more, which says 200 to all that is posted."""
    return _running([sys.executable, "-m", "benchmarks.upstream"], folder / "collector")


def relay(upstream: Process, folder: Path) -> AbstractAsyncContextManager[Process]:
    """Run the bare relay."""
    return _running([sys.executable, "-m", "benchmarks.relay", f"http://{upstream.address}"], folder / "relay")


def daemon(
    configuration: Configuration, folder: Path, program: Sequence[str] = PENSTOCKD
) -> AbstractAsyncContextManager[Process]:
    """Run the real daemon; `program` may run it by another way, such as under a profiler."""
    file = folder / "penstock.yaml"
    file.write_text(configuration.text)
    command = [*program, "serve", "--config", str(file)]
    # No setting of whoever measures gets in; its log goes to a file, which is never a reader that falls behind.
    environment = {"PATH": os.environ["PATH"], "PENSTOCK_STATE_DIR": str(folder), **configuration.environment}
    return _running(command, folder / "penstockd", environment)


@asynccontextmanager
async def _running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run `command` until the block ends, from the moment when `log` has a line that says where it listens."""
    started_at = time.monotonic()
    with log.open("wb") as out:
        child = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out, env=environment)
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while (address := _address(log)) is None:
                if child.returncode is not None:
                    raise _death(log)
                await asyncio.sleep(0.005)
        yield Process(pid=child.pid, address=address, startup=time.monotonic() - started_at)
    finally:
        await _end(child)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def _death(log: Path) -> SystemExit:
    return SystemExit(f"a process of the measurement died:\n{log.read_text()}")


def _address(log: Path) -> str | None:
    for line in log.read_bytes().splitlines():
        try:
            said = msgspec.json.decode(line, type=dict[str, object])
        except msgspec.DecodeError:
            continue
        if "listen" in said:
            return str(said["listen"])
    return None
