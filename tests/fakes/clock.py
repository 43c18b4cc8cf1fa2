"""A clock that moves only when it is told to, and one that goes by itself from the same day on."""

import asyncio
from heapq import heappop, heappush
from itertools import count

from penstockd.clock import SystemClock

WALL_AT_ZERO = 1_700_000_000.0


class FakeClock:
    """A Clock for tests: time stands still until `advance`."""

    def __init__(self, now: float = 1000.0) -> None:
        """Start at the monotonic second `now`."""
        self._now = now
        self._wall_at_zero = WALL_AT_ZERO
        self._numbers = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        """Tell the time and who waits for a later one."""
        return f"<FakeClock {self._now:.3f} s, {self.sleeping} asleep>"

    @property
    def sleeping(self) -> int:
        """How many sleeps wait for time to pass: what a test asserts before it advances."""
        return sum(not sleeper.done() for _, _, sleeper in self._sleepers)

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self._now

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC, in step with `monotonic` between two calls of `put`."""
        return self._wall_at_zero + self._now

    def put(self, wall: float) -> None:
        """Set the wall clock alone, forwards or back."""
        self._wall_at_zero = wall - self._now

    async def sleep(self, seconds: float) -> None:
        """Return once time was advanced by `seconds`; at once, but not before others had a turn, if that is none."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (self._now + seconds, next(self._numbers), sleeper))
        await sleeper

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; sleeps that end in them wake in the order of their ends, when the loop next turns."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, sleeper = heappop(self._sleepers)
            if not sleeper.done():
                sleeper.set_result(None)


class RunningClock(SystemClock):
    """The machine's clock, set back to the day on which a FakeClock begins."""

    @staticmethod
    def wall() -> float:
        """Seconds since 1970-01-01 UTC, in step with `monotonic`."""
        return FakeClock().wall() + SystemClock.monotonic() - _STARTED_AT


_STARTED_AT = SystemClock.monotonic()
