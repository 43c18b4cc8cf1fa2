"""A thread of the ledger's own, which a database that hangs can hold up without holding up anything else."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

_Job = tuple[Callable[[], object], "Future[object]"]


class Worker:
    """Runs what blocks, one at a time; the process does not wait for it at its end."""

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Return what `work` will return; cancelled before its turn, it is not begun."""
        done: Future[T] = Future()
        self._jobs.put((work, done))  # type: ignore[arg-type] # the two belong together
        return asyncio.wrap_future(done)

    def stop(self) -> None:
        """End the thread when it has nothing left to do."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            if not done.set_running_or_notify_cancel():
                continue
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                done.set_exception(error)
