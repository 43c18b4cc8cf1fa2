"""The real daemon in a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import psutil

PROGRAM = Path(sys.executable).with_name("penstockd")
OURS = ("PENSTOCK", "LLM_", "OTEL_", "ENVIRONMENT", "MAX_RETRIES", "TIMEOUT_SECONDS", "CACHE_ENABLED", "LOG_LEVEL")
PATIENCE = 20.0
SAMPLED_EVERY = 0.005

Line = dict[str, Any]


class PenstockdProcess:
    """Serves a configuration on free ports within `async with`, which ends it, by force if need be."""

    def __init__(self, config: Mapping[str, object], directory: Path) -> None:
        self._config = {"log": {"format": "json"}, **config}
        self._path = directory / "penstock.yaml"
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self.lines: list[Line] = []
        self.target = ""

    async def __aenter__(self) -> Self:
        self._path.write_text(json.dumps(self._config), encoding="utf-8")
        ports = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM, "serve", "--config", self._path, *ports, stderr=asyncio.subprocess.PIPE, env=environ
        )
        self._reading = asyncio.create_task(self._read())
        self.target = (await self.line(lambda line: line["message"] == "serving"))["listen"]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
        assert self._reading is not None
        await self._reading

    async def line(self, matches: Callable[[Line], bool]) -> Line:
        """Return the first line of the log that `matches`, waiting for it."""
        async with asyncio.timeout(PATIENCE), self._news:
            while True:
                for line in self.lines:
                    if matches(line):
                        return line
                assert self._reading is not None
                assert not self._reading.done(), f"the daemon is gone: {self.lines}"
                await self._news.wait()

    @property
    def memory(self) -> "Memory":
        """How much memory the daemon takes, watched within `async with`."""
        assert self._process is not None
        return Memory(psutil.Process(self._process.pid))

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for text in self._process.stderr:
            async with self._news:
                self.lines.append(_parsed(text.decode()))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


class Memory:
    """Watches the resident memory of a process, in bytes."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.before = self.peak = 0

    async def __aenter__(self) -> Self:
        self.before = self.peak = self._now()
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        self.peak = max(self.peak, self._now())

    @property
    def growth(self) -> int:
        """How much more it took at its peak than before."""
        return self.peak - self.before

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SAMPLED_EVERY)
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        return int(self._process.memory_info().rss)


def _parsed(text: str) -> Line:
    try:
        line: Line = json.loads(text)
    except ValueError:
        return {"message": text.rstrip()}
    return line
