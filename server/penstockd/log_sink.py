"""Writes log lines from a thread of its own, so that a full pipe or a slow disk never holds up a call."""

import logging
import threading
from collections import deque
from typing import TextIO

CAPACITY = 10_000
"""Lines that may wait; what comes on top is dropped, and counted."""
GATHER = 0.05
"""Seconds for which lines gather, so that many travel in one write."""


class LogSink(logging.Handler):
    """Hands lines to its thread; `dropped` counts those for which there was no room, or no way out."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream` until closed."""
        super().__init__()
        self.dropped = 0
        self._stream = stream
        self._lines: deque[str] = deque()
        self._has_lines = threading.Event()
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        if len(self._lines) >= CAPACITY:
            self.dropped += 1
            return
        self._lines.append(self.format(record))
        if not self._has_lines.is_set():
            self._has_lines.set()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a line without the lock: a deque needs none, and nobody waits for a thread that writes."""
        if not self.filter(record):
            return False
        self.emit(record)
        return True

    def close(self) -> None:
        """Write what is left, for as long as one more gathering takes."""
        self._is_closing.set()
        self._has_lines.set()
        self._thread.join(timeout=20 * GATHER)
        super().close()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            self._has_lines.wait()
            self._is_closing.wait(GATHER)
            self._has_lines.clear()
            self._write()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        try:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)
