"""Settling that goes on whatever happens to the call it settles."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from penstockd.logs.log import Log

T = TypeVar("T")


class Settlements:
    """Runs work that must be done however its call ends: in tasks of the daemon, which no cancel of a call reaches."""

    def __init__(self, log: Log) -> None:
        """Tell `log` of what fails when nobody waits for it any more."""
        self._log = log
        self._tasks: set[asyncio.Task[object]] = set()

    def __repr__(self) -> str:
        return f"<Settlements {len(self._tasks)} running>"

    async def run(self, work: Coroutine[object, object, T]) -> T:
        """Return what `work` returns or raise what it raises; a cancelled caller leaves at once, the work goes on."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._tell)
            raise

    async def idle(self) -> None:
        """Return when all work is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _tell(self, task: asyncio.Task[T]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log.exception("a call could not be settled", error)
