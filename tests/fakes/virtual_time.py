"""An event loop whose time jumps to what happens next, so that waiting takes none."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class VirtualClock(selectors.SelectSelector):
    """A Clock that is also the loop's selector: whoever waits is told that the time has passed."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nothing will ever happen"
            self._now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on a VirtualClock."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic()


def run(clock: VirtualClock, main: Coroutine[object, object, T]) -> T:
    """Run `main` to its end on `clock`'s time."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock)) as runner:
        return runner.run(main)
