"""A limit on how long a task may take that moves as the task goes on."""

import asyncio
from math import inf
from types import TracebackType
from typing import Self

from penstockd.clock import Clock

RESOLUTION = 0.001
"""Seconds by which an event loop may be early: it counts in milliseconds."""


class TimeUp(Exception):
    """The limit has passed, and nobody else cancelled the task."""


class Timer:
    """Ends what runs `with` it by TimeUp once its limit has passed.

    It keeps account of cancellations as asyncio.timeout does. Unlike there, moving the limit later costs next to
    nothing: the event loop is asked to call once, and again only if the limit has moved when it does.
    """

    __slots__ = ("_cancelling", "_clock", "_due", "_handle", "_has_fired", "_task", "_wakes_at")

    def __init__(self, clock: Clock) -> None:
        """Set no limit yet; `clock` must go as the event loop's."""
        self._clock = clock
        self._due = inf
        self._wakes_at = inf
        self._handle: asyncio.TimerHandle | None = None
        self._has_fired = False

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
        if self._handle is not None:
            self._handle.cancel()
        if self._has_fired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeUp from error

    def move(self, due: float) -> None:
        """Set the limit, in the clock's monotonic seconds; inf is none."""
        self._due = due
        if due < self._wakes_at:
            self._wake()

    def _wake(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._wakes_at = self._due
        left = max(self._due - self._clock.monotonic(), 0.0)
        self._handle = self._task.get_loop().call_later(left, self._look)

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
