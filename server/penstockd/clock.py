"""Time, passed in: whoever needs to know it is given a clock."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and a way to wait."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back. Deadlines are counted in it."""

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump. For people and ledgers."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class SystemClock:
    """The machine's clock. Its monotonic time is the event loop's."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)
