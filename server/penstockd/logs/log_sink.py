"""Writes log lines from a thread of its own, so that a full pipe or a slow disk never holds up a call."""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TextIO

from penstockd.logs.log import Told
from penstockd.logs.redaction import Redaction
from penstockd.logs.repeats import Repeats

CAPACITY = 10_000
"""Lines that may wait, besides those that are being written; what comes on top is dropped, and counted."""
UNWORDED = 1000
"""As many of them, at most, are left for the thread to put into words: many at a time cost less than one by one."""
GATHER = 0.05
"""Seconds for which lines gather, so that many travel in one write."""
LOOK_FOR_REPEATS_EVERY = 1.0
"""Seconds between two looks at what was folded, while anything is."""


class LogSink(logging.Handler):
    """Hands lines to its thread; `dropped` counts those for which there was no room, or no way out."""

    def __init__(self, stream: TextIO, *, redaction: Redaction, repeats: Repeats) -> None:
        """Write to `stream` until closed."""
        super().__init__()
        self._redaction = redaction
        self._repeats = repeats
        self._put_out = _writer(stream)
        self._kept_out = 0
        self._lost = 0
        self._is_torn = False
        self._lines: deque[str | Told] = deque()
        self._has_news = threading.Event()
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were lost."""
        return self._kept_out + self._lost

    def hide(self, secrets: Iterable[str]) -> None:
        """Write none of these from now on, nor those of last time."""
        self._redaction.hide(secrets)

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a line; what is wrong with it is no affair of whoever wrote it.

        Without the lock: a deque needs none, and nobody waits for a thread that writes.
        """
        if self.filters and not self.filter(record):
            return False
        if type(record) is Told and len(self._lines) < UNWORDED:
            self._lines.append(record)
        elif record.levelno < logging.WARNING:
            self._take(record)  # `Repeats` would pass it untouched
        else:
            try:
                told = self._repeats.pass_on(record)
            except Exception:  # noqa: BLE001 - a field that cannot be shown may raise anything
                self._kept_out += 1
            else:
                self._take_all(told)
        if not self._has_news.is_set():
            self._has_news.set()
        return True

    def close(self) -> None:
        """Write what is left, for as long as one more gathering takes."""
        self._is_closing.set()
        self._has_news.set()
        self._thread.join(timeout=20 * GATHER)
        super().close()

    def _take_all(self, records: Iterable[logging.LogRecord]) -> None:
        for record in records:
            self._take(record)

    def _take(self, record: logging.LogRecord) -> None:
        """Take a line if there is room for it, and it can be shown at all."""
        text = self._text(record) if len(self._lines) < CAPACITY else None
        if text is None:
            self._kept_out += 1
        else:
            self._lines.append(text)

    def _run(self) -> None:
        while not self._is_closing.is_set():
            self._has_news.wait(LOOK_FOR_REPEATS_EVERY if self._repeats.are_waiting else None)
            self._is_closing.wait(GATHER)
            self._has_news.clear()
            self._write(self._repeats.due())
        self._write(self._repeats.due(at_the_end=True))

    def _write(self, due: Iterable[logging.LogRecord]) -> None:
        self._take_all(due)
        taken = [self._lines.popleft() for _ in range(len(self._lines))]
        texts = [line if isinstance(line, str) else self._text(line) for line in taken]
        lines = [text for text in texts if text is not None]
        self._lost += len(texts) - len(lines)
        if not lines:
            return
        del taken, texts  # the stream may take long
        text = self._redaction("\n".join((*lines, "")))
        try:
            # What was cut in the middle stays a line of its own.
            self._put_out(f"\n{text}" if self._is_torn else text)
            self._is_torn = False
        except (OSError, ValueError):
            self._is_torn = True
            self._lost += len(lines)

    def _text(self, record: logging.LogRecord) -> str | None:
        """The line for `record`, if it can be shown."""
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001 - an argument that cannot be shown may raise anything, here and in the thread
            return None


def _writer(stream: TextIO) -> Callable[[str], object]:
    """What writes to `stream`, past its buffer: a thread that waits in there keeps the process from ending."""
    try:
        return partial(_write_all, stream.fileno())
    except (OSError, ValueError):
        return stream.write


def _write_all(file: int, text: str) -> None:
    rest = memoryview(text.encode(errors="backslashreplace"))
    while rest:
        try:
            rest = rest[os.write(file, rest) :]
        except BlockingIOError:
            select.select([], [file], [])
