"""How the command speaks to people, and to programs that read it."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from penstock import durations
from penstock.errors import PenstockError, Unreachable

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_CLEAR = "\x1b[H\x1b[2J"
_HOME, _TO_LINE_END, _TO_SCREEN_END = "\x1b[H", "\x1b[K", "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# A terminal obeys these, and what a model writes must not steer the terminal.
_CONTROLS: Mapping[int, None] = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")})


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
            ensure_ascii=False,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        ),
        flush=True,
    )


def write_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their header, in columns as wide as they must be."""
    lines = [list(header), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    sys.stdout.flush()


def clear() -> None:
    """Empty the screen, if there is one."""
    if sys.stdout.isatty():
        sys.stdout.write(_CLEAR)


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
    else:
        sys.stdout.write("".join(f"{line}\n" for line in [*lines, ""]))
    sys.stdout.flush()


def note(text: str) -> None:
    """Print an aside on standard error: dim, and only to people."""
    if sys.stderr.isatty():
        print(_dim(one_line(text), sys.stderr), file=sys.stderr)


def complain(text: str) -> None:
    """Print one line on standard error that says what went wrong."""
    print(f"penstock: {one_line(text)}", file=sys.stderr)


def describe(error: PenstockError) -> str:
    """Say what an error says, when to try again, and under which name a daemon that was reached knows it."""
    asides = [] if error.retry_after is None else [f"retry in {durations.show(error.retry_after)}"]
    if error.request_id and not isinstance(error, Unreachable):
        asides.append(f"request {error.request_id}")
    return f"{error.reason}: {error.message}" + (f" ({'; '.join(asides)})" if asides else "")


def one_line(text: str) -> str:
    """Return `text` as one line that steers no terminal."""
    return " ".join(text.split()).translate(_CONTROLS)


def writable(text: str) -> str:
    """Return `text` with a question mark for each letter that standard output, such as one in ASCII, cannot show."""
    return text.encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding)


def is_colored(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose user wants colours: see https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _end(number: int, _frame: FrameType | None) -> None:
    """Exit as a shell says that a signal did it."""
    raise SystemExit(128 + number)


def _dim(text: str, stream: TextIO) -> str:
    return f"{_DIM}{text}{_PLAIN}" if is_colored(stream) else text
