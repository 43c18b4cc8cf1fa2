"""What operators read: one JSON object a line on stderr, or the same for eyes on a terminal."""

import json
import logging
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TextIO

import msgspec

from penstockd.clock import SystemClock
from penstockd.logs.log_sink import LogSink
from penstockd.logs.redaction import MASK, Redaction
from penstockd.logs.repeats import Repeats

_NONE: Mapping[str, object] = MappingProxyType({})


class Log:
    """Writes events: a constant message, and fields that say which. Never prompts, outputs or secrets.

    A field whose name is taken, by the line or by what the log is bound to, gets an underscore behind it.
    """

    def __init__(self, name: str, fields: Mapping[str, object] = _NONE) -> None:
        """Log under the standard library's logger `name`, each line with `fields` before its own."""
        self._logger = logging.getLogger(name)
        self._fields = fields

    def bound(self, /, **fields: object) -> "Log":
        """The same log, whose lines all have these fields too."""
        return Log(self._logger.name, _beside(self._fields, fields))

    def info(self, message: str, /, **fields: object) -> None:
        """Say what happened in the normal course of things."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: object) -> None:
        """Say what an operator may want to look at."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """Say what an operator should mend."""
        self._write(logging.ERROR, message, fields)

    def exception(self, message: str, /, error: BaseException, **fields: object) -> None:
        """Say that something unforeseen went wrong, with its traceback."""
        self._logger.error(message, exc_info=error, extra={"fields": _beside(self._fields, fields)})

    def _write(self, level: int, message: str, fields: Mapping[str, object]) -> None:
        logger = self._logger
        if logger.isEnabledFor(level):
            logger.handle(_Line(logger.name, level, message, _beside(self._fields, fields) if self._fields else fields))


class _Line(logging.LogRecord):
    """A record made in a third of the time: its place in the source and its thread, which no line shows, are left out.

    Handlers that are not ours find every attribute they know of.
    """

    def __init__(self, name: str, level: int, message: str, fields: Mapping[str, object]) -> None:
        now = time.time()
        self.__dict__.update(
            _UNSAID,
            name=name,
            msg=message,
            levelno=level,
            levelname=logging.getLevelName(level),
            created=now,
            msecs=now % 1 * 1000,
            fields=fields,
        )


_UNSAID: Mapping[str, object] = {
    **dict.fromkeys(("exc_info", "exc_text", "stack_info")),
    **dict.fromkeys(("thread", "threadName", "taskName", "process", "processName")),
    **dict.fromkeys(("pathname", "filename", "module", "funcName"), ""),
    **dict.fromkeys(("lineno", "relativeCreated"), 0),
    "args": (),
}


class JsonFormatter(logging.Formatter):
    """One JSON object a line, its fields flat."""

    _encode = msgspec.json.Encoder(enc_hook=str).encode

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`, without the line break."""
        fields: Mapping[str, object] = getattr(record, "fields", _NONE)
        line = _line(record, fields)
        if len(line) < len(_OWN) + len(fields):
            line = _line(record, _renamed(fields, _OWN))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return self._encode(line).decode()
        except (ValueError, OverflowError):
            # Of which JSON knows no NaN: what is none for msgspec becomes none here.
            plain = json.loads(json.dumps(line, default=str), parse_constant=_none)
            return json.dumps(plain)


class PrettyFormatter(logging.Formatter):
    """Time, level, message and fields, for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`, without the line break."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f"  {name}={value}" for name, value in getattr(record, "fields", {}).items())
        line = f"{time} {record.levelname:<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def write_logs_to(stream: TextIO, *, level: str, style: str) -> LogSink:
    """Send every log line of the process to `stream`; `style` is json, pretty, or auto: pretty on a terminal."""
    pretty = style == "pretty" or (style == "auto" and stream.isatty())
    # No line shows these, and finding them costs more than the line: see "Optimization" in the logging HOWTO.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = LogSink(stream, redaction=Redaction(), repeats=Repeats(SystemClock()))
    handler.setFormatter(PrettyFormatter() if pretty else JsonFormatter())
    handler.addFilter(_repeats_no_credentials)
    handler.addFilter(_tells_of_no_caller_who_left)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    return handler


def set_level(level: str) -> None:
    """Write lines of `level` and worse from now on."""
    logging.getLogger().setLevel(level)


_OWN = ("timestamp", "level", "service", "message")
_UNSENT = ("ExecuteBatchError raised in core by servicer method", "Failed sending error status from server")
"""How what gRPC says begins when it cannot send an answer or a status, as its caller is gone."""


def _line(record: logging.LogRecord, fields: Mapping[str, object]) -> dict[str, object]:
    return {
        "timestamp": _timestamp(record.created),
        "level": record.levelname,
        "service": "penstockd",
        "message": record.getMessage(),
        **fields,
    }


def _beside(own: Mapping[str, object], fields: Mapping[str, object]) -> dict[str, object]:
    """`own` and, after them, `fields`, those whose names are taken under others."""
    both = {**own, **fields}
    return both if len(both) == len(own) + len(fields) else {**own, **_renamed(fields, own)}


def _renamed(fields: Mapping[str, object], taken: Collection[str]) -> Mapping[str, object]:
    """`fields`, those whose names are taken with an underscore behind them."""
    return {f"{name}_" if name in taken else name: value for name, value in fields.items()}


def _none(_: str) -> None:
    """What NaN and the infinities become."""


def _repeats_no_credentials(record: logging.LogRecord) -> bool:
    """Drop what gRPC logs of metadata that is not UTF-8, and mask the headers that OpenTelemetry cannot read."""
    if record.name == "opentelemetry.util.re":
        record.args = (MASK,)
    return not (record.name.startswith("grpc.") and str(record.msg).startswith("Invalid encoding on"))


def _tells_of_no_caller_who_left(record: logging.LogRecord) -> bool:
    """Drop what gRPC logs, as an error and with a traceback, of an answer that it cannot send since nobody takes it.

    What went wrong before that, in a handler, it logs in a line of its own.
    """
    return not (record.name.startswith("grpc.") and str(record.msg).startswith(_UNSENT))


def _timestamp(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
