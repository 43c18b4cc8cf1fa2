"""How the command speaks to people, and to programs that read it."""

import os
import signal
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from penstock.cli import figures
from penstock.errors import PenstockError, Unreachable

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_HOME, _TO_LINE_END, _TO_SCREEN_END = "\x1b[H", "\x1b[K", "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# A terminal obeys these, and what a model writes must not steer the terminal.
_CONTROLS: Mapping[int, None] = dict.fromkeys(
    {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {ord("\n"), ord("\t")}
)


def write(text: str) -> None:
    """Print text at once and as it is; a terminal is not shown control characters."""
    sys.stdout.write(text.translate(_CONTROLS) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def write_json(message: Message) -> None:
    """Print a message as one line of proto3 JSON, with the field names of the contract."""
    print(
        MessageToJson(
            message,
            indent=None,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        ),
        flush=True,
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Lay out rows under their header, in columns as wide as they must be, those of these numbers to the right."""
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    laid_out = (
        [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    )
    return ["  ".join(cells).rstrip() for cells in laid_out]


def write_lines(lines: Iterable[str]) -> None:
    """Print lines, at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


@contextmanager
def without_cursor() -> Iterator[None]:
    """Hide the terminal's cursor meanwhile, if there is one; SIGTERM ends the block too."""
    if not sys.stdout.isatty():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    sys.stdout.write(_HIDE_CURSOR)
    try:
        yield
    finally:
        sys.stdout.write(_SHOW_CURSOR)
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, before)


def redraw(lines: Sequence[str]) -> None:
    """Print lines over those of last time; where that cannot be, after them."""
    if sys.stdout.isatty():
        sys.stdout.write(_HOME + "".join(f"{line}{_TO_LINE_END}\n" for line in lines) + _TO_SCREEN_END)
        sys.stdout.flush()
    else:
        write_lines([*lines, ""])


def note(text: str) -> None:
    """Print an aside on standard error: dim, and only to people."""
    if sys.stderr.isatty():
        print(_dim(one_line(text), sys.stderr), file=sys.stderr)


def complain(text: str) -> None:
    """Print one line on standard error that says what went wrong."""
    print(f"penstock: {one_line(text)}", file=sys.stderr)


def describe(error: PenstockError) -> str:
    """Say what an error says, when to try again, and under which name a daemon that was reached knows it."""
    asides = [] if error.retry_after is None else [f"retry in {figures.seconds(error.retry_after)}"]
    if error.request_id and not isinstance(error, Unreachable):
        asides.append(f"request {error.request_id}")
    return f"{error.reason}: {error.message}" + (f" ({'; '.join(asides)})" if asides else "")


def one_line(text: str) -> str:
    """Return `text` as one line that steers no terminal."""
    return " ".join(text.split()).translate(_CONTROLS)


def is_colored(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose user wants colours: see https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _end(number: int, _frame: FrameType | None) -> None:
    """Exit as a shell says that a signal did it."""
    raise SystemExit(128 + number)


def _dim(text: str, stream: TextIO) -> str:
    return f"{_DIM}{text}{_PLAIN}" if is_colored(stream) else text
