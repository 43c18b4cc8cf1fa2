"""What operators read: events, each a line of a constant message and fields that say which."""

import logging
import time
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

NOTHING: Mapping[str, object] = MappingProxyType({})


class _Line(logging.LogRecord):
    """A record made in a third of the time: its place in the source and its thread, which no line shows, are left out.

    Handlers that are not ours find every attribute they know of.
    """

    def __init__(self, name: str, level: int, message: str, fields: Mapping[str, object]) -> None:
        now = time.time()
        self.__dict__ = _BLANK.copy()  # of the size it will have: not one entry is added to it
        self.name = name
        self.msg = message
        self.levelno = level
        self.levelname = _LEVELS[level]
        self.created = now
        self.msecs = now % 1 * 1000
        self.fields = fields


class Told(_Line):
    """One that is the same whenever it is put into words."""


class Log:
    """Writes events: a constant message, and fields that say which. Never prompts, outputs or secrets.

    A field whose name is taken, by the line or by what the log is bound to, gets an underscore behind it.
    """

    def __init__(self, name: str, fields: Mapping[str, object] = NOTHING) -> None:
        """Log under the standard library's logger `name`, each line with `fields` before its own."""
        self._logger = logging.getLogger(name)
        self._fields = fields

    def bound(self, /, **fields: object) -> "Log":
        """The same log, whose lines all have these fields too."""
        return Log(self._logger.name, _beside(self._fields, fields))

    def info(self, message: str, /, **fields: object) -> None:
        """Say what happened in the normal course of things."""
        self._write(logging.INFO, message, fields)

    def tell(self, message: str, fields: Mapping[str, object]) -> None:
        """Say what `info` says of every call; nobody else has `fields`, or anything in it that can change."""
        # Of the fields of a bound log, such as an agent's, nobody knows that.
        self._write(logging.INFO, message, fields, _Line if self._fields else Told)

    def warning(self, message: str, /, **fields: object) -> None:
        """Say what an operator may want to look at."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """Say what an operator should mend."""
        self._write(logging.ERROR, message, fields)

    def exception(self, message: str, /, error: BaseException, **fields: object) -> None:
        """Say that something unforeseen went wrong, with its traceback."""
        self._logger.error(message, exc_info=error, extra={"fields": _beside(self._fields, fields)})

    def _write(self, level: int, message: str, fields: Mapping[str, object], kind: type[_Line] = _Line) -> None:
        logger = self._logger
        if logger.isEnabledFor(level):
            all_of_them = _beside(self._fields, fields) if self._fields else fields
            line = kind(logger.name, level, message, all_of_them)
            # Where there are no filters, as a rule, `handle` would do no more than this.
            if logger.filters:
                logger.handle(line)
            else:
                logger.callHandlers(line)


_LEVELS: Final = {level: logging.getLevelName(level) for level in (logging.INFO, logging.WARNING, logging.ERROR)}
_BLANK: Final[dict[str, object]] = {
    **dict.fromkeys(("exc_info", "exc_text", "stack_info")),
    **dict.fromkeys(("thread", "threadName", "taskName", "process", "processName")),
    **dict.fromkeys(("pathname", "filename", "module", "funcName"), ""),
    **dict.fromkeys(("lineno", "relativeCreated"), 0),
    **dict.fromkeys(("name", "msg", "levelno", "levelname", "created", "msecs", "fields")),
    "args": (),
}


def _beside(own: Mapping[str, object], fields: Mapping[str, object]) -> dict[str, object]:
    """`own` and, after them, `fields`, those whose names are taken under others."""
    both = {**own, **fields}
    return both if len(both) == len(own) + len(fields) else {**own, **renamed(fields, own)}


def renamed(fields: Mapping[str, object], taken: Collection[str]) -> Mapping[str, object]:
    """`fields`, those whose names are taken with an underscore behind them."""
    return {f"{name}_" if name in taken else name: value for name, value in fields.items()}
