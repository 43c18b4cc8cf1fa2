"""How much memory a process takes while something happens to it."""

import asyncio
from typing import Self

import psutil

SAMPLED_EVERY = 0.005


class Memory:
    """Watches the resident memory of a process, in bytes, within `async with`."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
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
