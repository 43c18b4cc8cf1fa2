"""Nothing that happens to the log's stream is felt by whoever writes to the log."""

import io
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from fakes.clock import FakeClock
from penstockd.logs import log_sink
from penstockd.logs.formats import JsonFormatter
from penstockd.logs.log import Told
from penstockd.logs.log_sink import CAPACITY, UNWORDED, LogSink
from penstockd.logs.redaction import Redaction
from penstockd.logs.repeats import TOLD, WINDOW, Repeats


class Stream(io.StringIO):
    """A stream that is broken while it is told to be, tearing what it is given."""

    is_broken = False

    def write(self, text: str) -> int:
        if self.is_broken:
            super().write(text[:5])
            raise OSError(28, "No space left on device")
        return super().write(text)


def sink_to(stream: "io.StringIO | io.TextIOWrapper", clock: FakeClock | None = None) -> LogSink:
    """A sink that writes JSON to `stream`."""
    sink = LogSink(stream, redaction=Redaction(), repeats=Repeats(clock or FakeClock()))
    sink.setFormatter(JsonFormatter())
    return sink


def line(message: object = "it happened", level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    """A line as our log makes it."""
    record = logging.LogRecord("penstockd", level, "", 0, message, (), None)
    record.__dict__["fields"] = fields
    return record


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """Both ends of a pipe."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
        os.close(reader)


def test_secrets_are_masked_on_the_way_out() -> None:
    """Those of libraries and exceptions too."""
    stream = io.StringIO()
    sink = sink_to(stream)
    sink.hide(["provider-key"])

    sink.handle(line("the key provider-key is wrong", error=ValueError("Bearer abcdefgh")))
    sink.close()

    said = json.loads(stream.getvalue())
    assert (said["message"], said["error"]) == ("the key *** is wrong", "Bearer ***")


def test_what_is_folded_is_told_once_its_window_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nothing else is ever said."""
    monkeypatch.setattr(log_sink, "LOOK_FOR_REPEATS_EVERY", 0.001)
    stream, clock = Watched(), FakeClock()
    sink = sink_to(stream, clock)

    for _ in range(TOLD + 4):
        sink.handle(line("it broke", logging.WARNING))
    assert stream.holds('"it broke"')
    clock.advance(WINDOW)

    assert stream.holds('"repeated":4')
    sink.close()


def test_what_is_folded_is_told_at_the_end_at_the_latest() -> None:
    """However soon that is."""
    stream = io.StringIO()
    sink = sink_to(stream)

    for _ in range(TOLD + 4):
        sink.handle(line("it broke", logging.WARNING))
    sink.close()

    *_, last = stream.getvalue().splitlines()
    assert json.loads(last)["repeated"] == 4


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_a_line_is_of_the_moment_in_which_it_was_said(level: int) -> None:
    """What somebody goes on to do with its fields is not in it."""
    stream, history = io.StringIO(), ["system"]
    sink = sink_to(stream)

    sink.handle(line("asked", level, history=history))
    history.append("a prompt")
    sink.close()

    assert json.loads(stream.getvalue())["history"] == ["system"]


def test_what_is_said_of_every_call_is_put_into_words_by_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that is not too much to keep; what cannot be shown is lost alone."""
    monkeypatch.setattr(log_sink, "GATHER", 0.5)
    stream, by = io.StringIO(), Counter[str]()

    class Watched(JsonFormatter):
        def format(self, record: logging.LogRecord) -> str:
            by[threading.current_thread().name] += 1
            return super().format(record) if record.levelno == logging.INFO else str(1 / 0)

    sink = sink_to(stream)
    sink.setFormatter(Watched())
    for number in range(UNWORDED + 10):
        sink.handle(Told("penstockd", logging.INFO if number else logging.ERROR, "call finished", {"number": number}))
    sink.close()

    assert by == {"log": UNWORDED, threading.current_thread().name: 10}
    assert [json.loads(text)["number"] for text in stream.getvalue().splitlines()] == list(range(1, UNWORDED + 10))
    assert sink.dropped == 1


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    """They are counted; what comes when there is room again stands on lines of its own."""
    stream = Watched()
    sink = sink_to(stream)
    stream.is_broken = True
    sink.handle(line("lost"))
    assert stream.holds('{"tim')

    stream.is_broken = False
    sink.handle(line("kept"))
    sink.close()

    assert sink.dropped == 1
    assert [json.loads(text)["message"] for text in stream.getvalue().splitlines()[1:]] == ["kept"]


def test_a_broken_pipe_costs_lines_and_nothing_else(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """They are counted."""
    reader, stream = pipe
    sink = sink_to(stream)
    spare = os.dup(reader)
    os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
    os.close(spare)

    sink.handle(line())
    sink.close()

    assert sink.dropped == 1


def test_a_pipe_that_nobody_reads_costs_what_finds_no_room(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """The thread waits, nobody else does; it goes on when somebody reads, though the pipe be one that does not wait."""
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    sink = sink_to(stream)

    for number in range(3 * CAPACITY):
        sink.handle(line("x" * 200, number=number))
    dropped = sink.dropped
    received = threading.Thread(target=read_all, args=(reader, said := bytearray()))
    received.start()
    sink.close()
    stream.close()
    received.join()

    numbers = [json.loads(text)["number"] for text in said.splitlines()]
    assert dropped >= CAPACITY
    assert len(numbers) == 3 * CAPACITY - dropped
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("message", ["lone \ud800 surrogate", 1 << 70])
def test_a_line_that_the_fast_encoder_refuses_is_written_all_the_same(message: object) -> None:
    """Whatever somebody put into it."""
    stream = io.StringIO()
    sink = sink_to(stream)

    sink.handle(line("it", value=message))
    sink.close()

    assert json.loads(stream.getvalue())["value"] == message


def test_a_line_that_cannot_be_written_at_all_is_counted() -> None:
    """Whoever wrote it is not to blame."""

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("not today")

    sink = sink_to(io.StringIO())

    sink.handle(line(Odd()))
    sink.close()

    assert sink.dropped == 1


def test_a_line_that_cannot_be_written_and_repeats_ends_no_others() -> None:
    """What was folded of it is shown, or is not, in the thread that writes all of them."""
    stream, clock = Watched(), FakeClock()
    sink = sink_to(stream, clock)
    wrong = line("retrying in %d", logging.WARNING)
    wrong.args = ("soon",)

    for _ in range(TOLD + 2):
        sink.handle(wrong)
    clock.advance(WINDOW)
    sink.handle(line("before"))
    assert stream.holds("before")
    sink.handle(line("after"))
    assert stream.holds("after")
    sink.close()

    assert sink.dropped == TOLD + 1


class Watched(Stream):
    """A stream that a test waits for to hold something."""

    def __init__(self) -> None:
        super().__init__()
        self._news = threading.Condition()

    def write(self, text: str) -> int:
        with self._news:
            try:
                return super().write(text)
            finally:
                self._news.notify_all()

    def holds(self, text: str) -> bool:
        """Whether `text` was written, waiting for it."""
        with self._news:
            return self._news.wait_for(lambda: text in self.getvalue(), timeout=10)


def read_all(reader: int, said: bytearray) -> None:
    """Read until the other end is closed."""
    while chunk := os.read(reader, 65536):
        said += chunk
