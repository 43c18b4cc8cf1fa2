"""Lets code that somebody else wrote make of a cancellation what it likes, and nobody wait for it."""

from asyncio import Task, create_task, wait
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

TIME_TO_END = 1.0
"""Seconds that such code has to end once nothing more is wanted of it, and once it was cancelled."""
MOST_LEFT = 100
"""Tasks that go on though nobody waits for them, beyond which no more should be begun."""


class ForeignTasks:
    """Runs such code in tasks of its own, also those that were left behind and go on."""

    def __init__(self) -> None:
        """Run nothing yet."""
        # The loop itself holds a task that waits only weakly.
        self._running: set[Task[object]] = set()
        self._left: set[Task[object]] = set()

    @property
    def are_too_many(self) -> bool:
        """Whether as many were left behind, and go on, as are borne."""
        return len(self._left) >= MOST_LEFT

    def start(self, work: Coroutine[object, object, T]) -> Task[T]:
        """Begin `work`, which must return what it would raise: SystemExit would end the daemon."""
        task = create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def end(self, task: Task[T]) -> None:
        """Return when `task` is over, or once it has had its second; it is cancelled unless it was before."""
        if task.done():
            return
        if not task.cancelling():
            task.cancel()
        try:
            await wait({task}, timeout=TIME_TO_END)
        finally:
            if not task.done():
                self._left.add(task)
                task.add_done_callback(self._left.discard)
