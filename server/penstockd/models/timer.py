"""A limit on how long a task may take that moves as the task goes on."""

import asyncio
from math import inf
from types import TracebackType
from typing import Self

from penstockd.clock import Clock

RESOLUTION = 0.001
"""Seconds by which an event loop may be early: it counts in milliseconds."""


WIDTH = 1.0
"""Seconds of one slot of a wheel."""


class TimeUp(Exception):
    """The limit has passed, and nobody else cancelled the task."""


class TimerWheel:
    """Keeps timers by the second in which their limits come, until it begins: then each asks the event loop itself.

    Most calls have ended by then, and a timer of the loop's costs several times what a place in a set does. After the
    hierarchical timing wheels of https://doi.org/10.1145/41457.37504.
    """

    def __init__(self, clock: Clock) -> None:
        """Keep none; `clock` must go as the event loop's, which is always the same."""
        self._clock = clock
        self._slots: dict[int, set[Timer]] = {}

    def slot(self, due: float) -> "set[Timer] | None":
        """Where to wait for the second of `due`, whose beginning is told to all in there; None if it has begun."""
        number = int(due / WIDTH)
        slot = self._slots.get(number)
        if slot is None:
            left = number * WIDTH - self._clock.monotonic()
            if left <= 0.0:
                return None
            slot = self._slots[number] = set()
            asyncio.get_running_loop().call_later(left, self._begin, number)
        return slot

    def _begin(self, number: int) -> None:
        for timer in self._slots.pop(number):
            timer.come_near()


class Timer:
    """Ends what runs `with` it by TimeUp once its limit has passed.

    It keeps account of cancellations as asyncio.timeout does. Unlike there, moving the limit later costs next to
    nothing: it waits for where the limit was, and only then for where it is.
    """

    _slot: "set[Timer] | None" = None
    _due = inf
    _wakes_at = inf
    _handle: asyncio.TimerHandle | None = None
    _has_fired = False

    def __init__(self, clock: Clock, wheel: TimerWheel) -> None:
        """Set no limit yet; `clock` must go as the event loop's."""
        self._clock = clock
        self._wheel = wheel

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timer ends a task, and there is none")
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._has_fired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeUp from error

    def move(self, due: float) -> None:
        """Set the limit, in the clock's monotonic seconds; inf is none."""
        self._due = due
        if due < self._wakes_at:
            if self._wakes_at < inf:
                self._stop()  # it waits for a later one
            self._wake()

    def come_near(self) -> None:
        """Ask the event loop: the second of the limit has begun."""
        self._slot = None
        left = max(self._wakes_at - self._clock.monotonic(), 0.0)
        self._handle = self._task.get_loop().call_later(left, self._look)

    def _wake(self) -> None:
        self._wakes_at = self._due
        slot = self._wheel.slot(self._due)
        if slot is None:
            self.come_near()
        else:
            slot.add(self)
            self._slot = slot

    def _stop(self) -> None:
        if self._slot is not None:
            self._slot.discard(self)
            self._slot = None
        elif self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = None
        if self._due - self._clock.monotonic() <= RESOLUTION:
            self._wakes_at = -inf  # a task is cancelled once, whatever it does about it
            self._has_fired = True
            self._task.cancel()
        elif self._due < inf:
            self._wake()
        else:
            self._wakes_at = inf
