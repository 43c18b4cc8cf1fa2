"""The real daemon in a process of its own, and what a test sees of it from outside."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeAlias

import aiohttp

PROGRAMS = Path(sys.executable).parent
TESTS = Path(__file__).parents[1]
PATIENCE = 20.0
"""Seconds that anything of a daemon may take before a test gives up on it."""

Line: TypeAlias = dict[str, Any]
NOTHING: Mapping[str, str] = MappingProxyType({})
ANY_PORT = "127.0.0.1:0"
UNFORESEEN = "a call failed unforeseen"
"""The one line that may hold a traceback: the operator reads there what the caller is not told."""


class Penstockd:
    """A process that was started as `penstockd`; `lines` is what it has logged so far, `said` whatever else it said."""

    def __init__(self, process: Process) -> None:
        self.lines: list[Line] = []
        self.said: list[str] = []
        self._process = process
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(lambda _: self._news.set())

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not exited."""
        return self._process.returncode is None

    @property
    def target(self) -> str:
        """Where it takes calls."""
        return str(self._serving["listen"])

    @property
    def admin(self) -> str:
        """The URL of its HTTP port."""
        return f"http://{self._serving['admin']}"

    @property
    def health(self) -> str:
        """Where it answers about health alone."""
        return str(self._serving["health"])

    @property
    def startup(self) -> float:
        """Seconds from the start of the process until it served."""
        return float(self._serving["startup_ms"]) / 1000

    def logged(self, message: str, **fields: object) -> list[Line]:
        """Every line so far with this message and these fields."""
        wanted = {"message": message, **fields}
        return [line for line in self.lines if wanted.items() <= line.items()]

    async def status(self) -> Mapping[str, Any]:
        """Return its snapshot, as its admin port gives it to those who need no token."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/status") as answer:
            snapshot: Mapping[str, Any] = await answer.json()
            return snapshot

    async def line(self, message: str, *, count: int = 1, **fields: object) -> Line:
        """Return the `count`-th line with this message and these fields, waiting for it."""
        async with asyncio.timeout(PATIENCE):
            await self._until(lambda: len(self.logged(message, **fields)) >= count)
        found = self.logged(message, **fields)
        assert len(found) >= count, f"penstockd ended without saying {message!r}: {self.said} {self.lines}"
        return found[count - 1]

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal; a process that is gone does not mind."""
        if self.is_running:
            self._process.send_signal(number)

    async def exit_code(self) -> int:
        """Return what it exits with, waiting for it."""
        async with asyncio.timeout(PATIENCE):
            await self._until(lambda: False)
        return await self._process.wait()

    async def stop(self) -> int:
        """Ask it to stop, and return what it exits with."""
        self.signal()
        return await self.exit_code()

    async def end(self) -> None:
        """End it: asked twice, as a killed process leaves no coverage; raise TimeoutError if it had to be killed."""
        self.signal()
        try:
            async with asyncio.timeout(PATIENCE / 2):
                await self._until(lambda: bool(self.logged("draining")))
                self.signal()
                await self._until(lambda: False)
        except TimeoutError:
            self._process.kill()
            raise
        finally:
            await self._reader

    @property
    def _serving(self) -> Line:
        return self.logged("serving")[0]

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Return when `is_so`, or when the process has ended."""
        while not (self._reader.done() or is_so()):
            self._news.clear()
            await self._news.wait()

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for raw in self._process.stderr:
            text = raw.decode().rstrip("\n")
            if text.startswith("{"):
                self.lines.append(json.loads(text))
            else:
                self.said.append(text)
            self._news.set()
        await self._process.wait()


class Daemons:
    """Starts daemons that read one configuration file, which a test may rewrite, and ends them with the block."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "penstock.yaml"
        self._states = (directory / f"state-{number}" for number in count())
        self._stack = AsyncExitStack()
        self._daemons: list[Penstockd] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the daemons; none of them may have said anything but log lines, nor stumbled."""
        await self._stack.aclose()
        for daemon in self._daemons:
            assert daemon.said == []
            stumbles = [line for line in daemon.lines if "exception" in line and line["message"] != UNFORESEEN]
            assert stumbles == []

    def configure(self, **sections: object) -> None:
        """Let the file hold `sections`; JSON is YAML too. Unless they say so nothing is cached: tests ask twice."""
        self.config.write_text(json.dumps({"cache": {"enabled": False}, **sections}), encoding="utf-8")

    async def start(self, *, environ: Mapping[str, str] = NOTHING, **sections: object) -> Penstockd:
        """Start a daemon by `sections` and return it once it serves: on free ports, with a state of its own."""
        self.configure(**sections)
        places = {
            "PENSTOCK_CONFIG": str(self.config),
            "PENSTOCK_LISTEN": ANY_PORT,
            "PENSTOCK_ADMIN_LISTEN": ANY_PORT,
            "PENSTOCK_STATE_DIR": str(next(self._states)),
        }
        daemon = await self._stack.enter_async_context(started(["serve"], {**places, **environ}))
        await daemon.line("serving")
        self._daemons.append(daemon)
        return daemon


@asynccontextmanager
async def started(arguments: Sequence[str], environ: Mapping[str, str] = NOTHING) -> AsyncIterator[Penstockd]:
    """Start `penstockd` with these arguments and nothing of ours in its environment; end it with the block."""
    process = await asyncio.create_subprocess_exec(
        PROGRAMS / "penstockd", *arguments, env=environment(environ), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    daemon = Penstockd(process)
    try:
        yield daemon
    finally:
        await daemon.end()


async def run(*command: str | Path, environ: Mapping[str, str] = NOTHING, stdin: str = "") -> tuple[int, str, str]:
    """Run a program to its end; return its exit code and what it wrote on standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(environ), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def environment(more: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """A plain environment for a program of ours: what it needs to start, be measured, and find imported.agents."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or "COVERAGE" in name}
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "LANG": "C.UTF-8", "PYTHONPATH": path, **more}
