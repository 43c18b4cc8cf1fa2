"""Folds what the log has just told often enough, so that one fault does not bury the others."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from logging import WARNING, LogRecord
from threading import Lock

from penstockd.clock import Clock

TOLD = 5
"""Times that the same fault is told within one window."""
WINDOW = 10.0
"""Seconds after which it is told again, and how often it was not."""
MOST_FAULTS = 1000
"""Faults that are told apart at once; the oldest makes room for one more."""
_OF_ONE_CALL = {"request_id", "call_id", "trace_id", "span_id", "error"}
"""Fields in which two lines about the same fault differ."""
_OF_ONE_CALLER = {"tenant"}
"""And those in which two failures of the same code, or in two calls, do: it fails whoever calls."""
_OF_ONE_ASKER = {"agent"}
"""And those in which two failures of the same model do."""


@dataclass(slots=True)
class _Window:
    """One fault since it was first told; `last` is the last line about it that was folded."""

    ends_at: float
    told: int = 0
    folded: int = 0
    last: LogRecord | None = None

    def lines(self) -> Sequence[LogRecord]:
        """One line for all that was folded, if anything was."""
        if self.last is None:
            return ()
        line = copy(self.last)
        line.__dict__["fields"] = {**line.__dict__.get("fields", {}), "repeated": self.folded}
        return (line,)


class Repeats:
    """Passes the first few lines about a fault, and one for all the others of its window.

    A fault is a warning or worse: the same message about the same subject. What is told in the normal course of things,
    such as how each call ended, passes untouched. Threads may share this.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[object, _Window] = {}
        self._lock = Lock()

    @property
    def are_waiting(self) -> bool:
        """Whether something was folded and is still to be told."""
        return any(window.folded for window in list(self._windows.values()))

    def pass_on(self, record: LogRecord) -> Sequence[LogRecord]:
        """The lines to write now that `record` came: none, if it is folded."""
        if record.levelno < WARNING:
            return (record,)
        with self._lock:
            fault, now = _fault(record), self._clock.monotonic()
            window = self._windows.get(fault)
            before: Sequence[LogRecord] = ()
            if window is None or window.ends_at <= now:
                before = self._make_room(fault)
                window = self._windows[fault] = _Window(ends_at=now + WINDOW)
            if window.told < TOLD:
                window.told += 1
                return (*before, record)
            window.folded += 1
            window.last = record
            return before

    def due(self, *, at_the_end: bool = False) -> Sequence[LogRecord]:
        """Forget the windows that have ended, at the end all of them, and return the lines for what they folded."""
        now = self._clock.monotonic()
        with self._lock:
            ended = [fault for fault, window in self._windows.items() if at_the_end or window.ends_at <= now]
            return [line for fault in ended for line in self._windows.pop(fault).lines()]

    def _make_room(self, fault: object) -> Sequence[LogRecord]:
        """Forget the window of `fault`, or the oldest if there are too many; return what it folded."""
        if fault not in self._windows and len(self._windows) >= MOST_FAULTS:
            fault = next(iter(self._windows))
        window = self._windows.pop(fault, None)
        return () if window is None else window.lines()


def _fault(record: LogRecord) -> object:
    """What two lines about the same fault have in common."""
    fields: dict[str, object] = record.__dict__.get("fields", {})
    differing = _OF_ONE_CALL
    if record.exc_info or "request_id" in fields:
        differing = differing | _OF_ONE_CALLER
    if "model" in fields:
        differing = differing | _OF_ONE_ASKER
    subject = tuple((name, str(value)) for name, value in fields.items() if name not in differing)
    return record.levelno, record.name, str(record.msg), subject, _failure(record)


def _failure(record: LogRecord) -> object:
    """What was raised, and where: the end of the traceback tells two faults of one kind apart."""
    if not record.exc_info:
        return None
    kind, _, traceback = record.exc_info
    if traceback is None:
        return kind, "", 0
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return kind, traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
