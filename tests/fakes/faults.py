"""What upstreams do wrong, byte by byte, and what is left of the answer then."""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fakes.providers import Kind
from fakes.upstream import CLOSE, HANG, RESET, STREAM_HEAD, Script, Step, Wait, chunk, head, response

PIECES: Final = ("Once ", "upon ", "ein größeres ", "日本 ", "🎉.")
TEXT: Final = "".join(PIECES)
BEGUN: Final = PIECES[0] + PIECES[1]

WHOLE = ""
"""The ending of a fault that does no harm."""
FAILED = "MODELS_UNAVAILABLE"
TIMED_OUT = "UPSTREAM_TIMEOUT"

Steps = Callable[[Kind], Script]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong before any text; `ending` is the status's reason for a caller without another model.

    `takes_patience` is whether only a timeout ends it.
    """

    name: str
    steps: Steps
    ending: str = FAILED
    takes_patience: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Break:
    """One thing that goes wrong in a stream after some of its text: `after` comes once that text was heard."""

    name: str
    after: Callable[[Kind], Script]
    takes_patience: bool = False

    def __str__(self) -> str:
        return self.name

    def steps(self, kind: Kind, heard: asyncio.Event) -> Iterator[Step]:
        """Two pieces of the text, then, in a read of its own, what is wrong."""
        yield STREAM_HEAD
        yield chunk(opening(kind) + b"".join(saying(kind, piece) for piece in PIECES[:2]))
        yield heard
        yield from self.after(kind)


def says(*steps: Step) -> Steps:
    """The same for either kind of provider."""
    return lambda kind: steps


def hangs(name: str, steps: Steps) -> Fault:
    """A fault that only a timeout ends."""
    return Fault(name=name, steps=steps, ending=TIMED_OUT, takes_patience=True)


def dripped(data: bytes, pause: float) -> Iterator[Step]:
    """One byte at a time."""
    for at in range(len(data)):
        yield data[at : at + 1]
        yield Wait(pause)


def opening(kind: Kind) -> bytes:
    """The events that come before the text."""
    events = kind.events(PIECES)
    return b"".join(events[: next(at for at, event in enumerate(events) if PIECES[0].encode() in event)])


def saying(kind: Kind, piece: str) -> bytes:
    """The event that adds `piece` to the text."""
    return next(event for event in kind.events([piece]) if piece.encode() in event)


def endless_headers() -> Iterator[Step]:
    """A response that never comes to its body."""
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"x-more: and-more\r\n" * 100


def endless_body(content_type: str) -> Iterator[Step]:
    """A response that never comes to its end."""
    yield head(content_type=content_type, transfer_encoding="chunked")
    while True:
        yield chunk(b" " * 65536)


def repeated(beginning: bytes, piece: bytes, pause: float = 0.0) -> Iterator[Step]:
    """A beginning, then the same for ever."""
    yield beginning
    while True:
        yield piece
        yield Wait(pause)


def bomb(content_type: str) -> bytes:
    """A response of a few KB that wants to be 100 MB."""
    packer = zlib.compressobj(wbits=31)
    packed = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(100)) + packer.flush()
    return response(packed, content_type=content_type, content_encoding="gzip")


HTML = response(b"<!doctype html><title>Welcome to our portal</title>", content_type="text/html; charset=utf-8")
REDIRECT = response(b"", status=302, location="/elsewhere")
BOMBS = {content_type: bomb(content_type) for content_type in ("application/json", "text/event-stream")}

BEFORE_ANY_BODY: Final = (
    hangs("hangs before its headers", says(HANG)),
    Fault(name="resets before its headers", steps=says(RESET)),
    Fault(name="closes before its headers", steps=says(CLOSE)),
    Fault(name="closes within its headers", steps=says(b"HTTP/1.1 200 OK\r\ncontent-ty", CLOSE)),
    Fault(name="speaks no HTTP", steps=says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", CLOSE)),
    Fault(name="has endless headers", steps=lambda kind: endless_headers()),
    Fault(name="redirects", steps=says(REDIRECT)),
    Fault(name="sends HTML with 200", steps=says(HTML)),
    Fault(name="says 500", steps=says(response(b'{"error": {"message": "oops"}}', status=500))),
    Fault(name="says 503 in HTML", steps=says(response(b"<h1>Unavailable</h1>", status=503, content_type="text/html"))),
    Fault(name="says 529", steps=says(response(b'{"error": {"type": "overloaded_error"}}', status=529))),
)
