"""What goes wrong with an answer that comes as a stream, and what only looks like it."""

from collections.abc import Callable, Iterator
from typing import Final

from fakes.faults import (
    BEFORE_ANY_BODY,
    BOMBS,
    PIECES,
    WHOLE,
    Break,
    Fault,
    Steps,
    dripped,
    endless_body,
    hangs,
    opening,
    repeated,
    says,
)
from fakes.providers import Kind
from fakes.upstream import CLOSE, HANG, LAST_CHUNK, RESET, STREAM_HEAD, Script, Step, chunk


def streamed(*more: Step) -> Steps:
    """A stream that has begun as a response, and not as text."""
    return says(STREAM_HEAD, *more)


COMMENT = chunk(b": alive\n\n")
LONG_LINE = b"data: " + b"x" * (10 << 20)
EMPTY_EVENTS = b"data:\n\n" * 50_000 + b": nothing\n\n" * 50_000

BEFORE_TEXT: Final = (
    *BEFORE_ANY_BODY,
    hangs("hangs after its headers", streamed(HANG)),
    hangs("hangs before its text", lambda kind: (STREAM_HEAD, chunk(opening(kind)), HANG)),
    hangs("sends nothing but comments", lambda kind: repeated(STREAM_HEAD, COMMENT, 0.01)),
    hangs("drips too slowly", lambda kind: dripped(STREAM_HEAD + chunk(opening(kind) * 9), 0.02)),
    Fault(name="resets before its text", steps=lambda kind: (STREAM_HEAD, chunk(opening(kind)), RESET)),
    Fault(name="closes before its text", steps=lambda kind: (STREAM_HEAD, chunk(opening(kind)), CLOSE)),
    Fault(name="ends before its text", steps=lambda kind: (STREAM_HEAD, chunk(opening(kind)), LAST_CHUNK)),
    Fault(name="sends an empty stream", steps=streamed(LAST_CHUNK)),
    Fault(name="sends empty events and ends", steps=streamed(chunk(EMPTY_EVENTS), LAST_CHUNK)),
    Fault(name="starts with bad JSON", steps=streamed(chunk(b'data: {"choices": [\n\n'), LAST_CHUNK)),
    Fault(name="starts with 10 MB in a line", steps=streamed(chunk(LONG_LINE), HANG)),
    Fault(name="never ends its line", steps=lambda kind: endless_body("text/event-stream")),
    Fault(name="starts with an error", steps=lambda kind: (STREAM_HEAD, chunk(kind.error), LAST_CHUNK)),
    Fault(name="is a gzip bomb", steps=says(BOMBS["text/event-stream"])),
    Fault(name="sends a chunk of no length", steps=streamed(b"zz\r\n")),
)


def ended(data: bytes) -> Steps:
    """One more chunk, and the end of the response."""
    return says(chunk(data), LAST_CHUNK)


def ended_with_an_error(kind: Kind) -> Script:
    """An error as either kind of provider reports it within a stream."""
    return (chunk(kind.error), LAST_CHUNK)


AFTER_TEXT: Final = (
    Break(name="hangs", after=says(HANG), takes_patience=True),
    Break(
        name="sends only comments", after=lambda kind: repeated(b"", chunk(b": alive\n\n"), 0.01), takes_patience=True
    ),
    Break(name="resets", after=says(RESET)),
    Break(name="closes", after=says(CLOSE)),
    Break(name="leaves its terminator out", after=says(LAST_CHUNK)),
    Break(name="sends an error", after=ended_with_an_error),
    Break(name="sends bad JSON", after=ended(b'data: {"type": \n\n')),
    Break(name="sends a NUL in its JSON", after=ended(b'data: {"\0": 1}\n\n')),
    Break(name="sends what is not UTF-8", after=ended(b'data: {"type": "\xc3\x28"}\n\n')),
    Break(name="sends HTML", after=ended(b"<html>\n\n")),
    Break(name="sends 10 MB in a line", after=ended(LONG_LINE)),
    Break(name="never ends its line", after=lambda kind: repeated(chunk(b"data: "), chunk(b"x" * 65536))),
    Break(name="sends a chunk of no length", after=says(b"zz\r\n")),
    Break(name="sends 100 000 empty events and closes", after=says(chunk(EMPTY_EVENTS), CLOSE)),
)


def rewritten(rewrite: Callable[[bytes], bytes]) -> Steps:
    """A good stream whose bytes were changed."""
    return lambda kind: (STREAM_HEAD, chunk(rewrite(b"".join(kind.events(PIECES, kind.usage)))), LAST_CHUNK)


def sliced(kind: Kind) -> Iterator[Step]:
    """A good stream with each byte in a chunk and a write of its own, so that characters are split too."""
    yield STREAM_HEAD
    for byte in b"".join(kind.events(PIECES, kind.usage)):
        yield chunk(bytes([byte]))
    yield LAST_CHUNK


def harmless(name: str, steps: Steps) -> Fault:
    """An oddity."""
    return Fault(name=name, steps=steps, ending=WHOLE)


HARMLESS: Final = (
    harmless("sends one byte at a time", sliced),
    harmless("sends everything at once", rewritten(lambda said: said)),
    harmless("ends its lines with CRLF", rewritten(lambda said: said.replace(b"\n", b"\r\n"))),
    harmless("ends its lines with CR", rewritten(lambda said: said.replace(b"\n", b"\r"))),
    harmless("begins with a BOM", rewritten(lambda said: b"\xef\xbb\xbf" + said)),
    harmless("comments", rewritten(lambda said: said.replace(b"\n\n", b"\n\n: alive\n\n"))),
    harmless("comments with NUL", rewritten(lambda said: said.replace(b"\n\n", b"\n\n: a\0b\n\n"))),
    harmless("leaves spaces out", rewritten(lambda said: said.replace(b"data: ", b"data:"))),
    harmless("sends 100 000 empty events", rewritten(lambda said: EMPTY_EVENTS + said)),
    harmless("hangs after its last event", lambda kind: (*tuple(rewritten(lambda said: said)(kind))[:2], HANG)),
    harmless("resets after its last event", lambda kind: (*tuple(rewritten(lambda said: said)(kind))[:2], RESET)),
)
