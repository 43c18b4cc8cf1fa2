"""Says what holds up the event loop, while it does and nothing else can: from a thread of its own."""

import sys
import threading
from types import FrameType

from penstockd.clock import Clock
from penstockd.logs.log import Log

LOOK_EVERY = 0.5
"""Seconds between two looks of the thread."""
MISSED = 2
"""Looks in a row without a sign of the loop, after which it is said; one may be of a process that stood still."""
INNERMOST = 8
"""Calls that are named, the innermost first: whatever holds up the loop is among them, or just above."""


class LoopWatch:
    """Has the loop give signs of life, and misses them. Once per stall, it tells of the code that runs instead."""

    def __init__(self, *, clock: Clock, log: Log) -> None:
        """Look at nothing yet."""
        self._clock = clock
        self._log = log
        self._signs = 0
        self._seen = 0
        self._missed = 0
        self._thread = threading.get_ident()

    async def watch(self) -> None:
        """Look for ever; the thread ends when this does."""
        self._thread = threading.get_ident()
        is_over = threading.Event()
        threading.Thread(target=self._look_until, args=(is_over,), name="loop watch", daemon=True).start()
        try:
            while True:
                self._signs += 1
                await self._clock.sleep(LOOK_EVERY / 2)
        finally:
            is_over.set()

    def look(self) -> None:
        """See whether the loop has given a sign since the last look, and tell what it does if it had none for two."""
        self._missed = 0 if self._signs != self._seen else self._missed + 1
        self._seen = self._signs
        if self._missed == MISSED:
            frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - it is how CPython lets one look at a thread
            self._log.warning("the event loop is held up", by=_calls(frame))

    def _look_until(self, is_over: threading.Event) -> None:
        while not is_over.wait(LOOK_EVERY):
            self.look()


def _calls(frame: FrameType | None) -> list[str]:
    """Where a thread is: files, lines and names, and nothing of what they work on."""
    calls: list[str] = []
    while frame is not None and len(calls) < INNERMOST:
        code = frame.f_code
        calls.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return calls
