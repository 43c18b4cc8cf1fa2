"""Work in the background that has no end: state must not grow unseen because some of it failed once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeAlias

from penstockd.clock import Clock
from penstockd.logs.log import Log

Work: TypeAlias = Callable[[], Coroutine[object, object, None]]

PAUSE = 1.0
"""Seconds before work that failed begins again."""


class Upkeep:
    """Keeps work going, and says so when it fails in a way that nobody foresaw."""

    def __init__(self, *, log: Log, clock: Clock) -> None:
        """Do nothing yet."""
        self._log = log
        self._clock = clock

    def start(self, work: Work) -> asyncio.Task[None]:
        """Begin `work`, and begin it again whenever it ends, until the task is cancelled."""
        return asyncio.create_task(self._keep_going(work))

    async def _keep_going(self, work: Work) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is
                self._log.exception("upkeep failed and begins again", error)
            await self._clock.sleep(PAUSE)
