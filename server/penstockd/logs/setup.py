"""Where the lines of the whole process go, and what of them nobody is to read."""

import logging
from typing import Final, TextIO

from penstockd.clock import SystemClock
from penstockd.logs.formats import JsonFormatter, PrettyFormatter
from penstockd.logs.log_sink import LogSink
from penstockd.logs.redaction import MASK, Redaction
from penstockd.logs.repeats import Repeats

_UNTOLD: Final = (
    "Invalid encoding on",
    "ExecuteBatchError raised in core by servicer method",
    "Failed sending error status from server",
)
"""How what gRPC says begins of metadata that is not UTF-8, and may be a credential, and of answers that nobody takes.

What went wrong in a handler before its caller had left, it logs in a line of its own.
"""


def write_logs_to(stream: TextIO, *, level: str, style: str) -> LogSink:
    """Send every log line of the process to `stream`; `style` is json, pretty, or auto: pretty on a terminal."""
    pretty = style == "pretty" or (style == "auto" and stream.isatty())
    # No line shows these, and finding them costs more than the line: see "Optimization" in the logging HOWTO.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = LogSink(stream, redaction=Redaction(), repeats=Repeats(SystemClock()))
    handler.setFormatter(PrettyFormatter() if pretty else JsonFormatter())
    # Of the loggers that say such things, which spares all other lines two looks.
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_told)
    logging.getLogger("opentelemetry.util.re").addFilter(_mask)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    return handler


def set_level(level: str) -> None:
    """Write lines of `level` and worse from now on."""
    logging.getLogger().setLevel(level)


def _is_told(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_UNTOLD)


def _mask(record: logging.LogRecord) -> bool:
    """Show nothing of the headers that OpenTelemetry cannot read: they are credentials as a rule."""
    record.args = (MASK,)
    return True
