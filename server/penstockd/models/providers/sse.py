"""Server-sent events, as they arrive byte by byte."""

from penstockd.upstream import Broken

MAX_EVENT = 1 << 20
"""Bytes that one event may have, its unfinished line included."""

_FIELDS = frozenset((b"data", b"event", b"id", b"retry", b""))
_BOM = b"\xef\xbb\xbf"
_ERROR = (b"event", b"error")


class ErrorEvent(bytes):
    """The data of an event whose name is "error", or the name where there is none; the data need not say what it is."""

    __slots__ = ()


class EventStream:
    """Cuts bytes into the data of events, in amortised linear time (HTML Living Standard, 9.2.6).

    Event names are dropped, save that of an error: all other data of both providers says what it is. Two things are
    stricter than the standard: a line that is no field at all is malformed, since skipping it might skip text, and an
    error is one without data, too.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._skips_line_feed = False
        self._is_at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that `chunk` completes; raise Broken if it is no event stream."""
        if self._skips_line_feed or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        seen = max(len(self._pending) - 1, 0)
        self._pending += chunk
        if self._pending.find(b"\n\n", seen) < 0:
            self._check_size(len(self._pending))
            return []
        *blocks, rest = bytes(self._pending).split(b"\n\n")
        self._check_size(len(rest))
        self._pending = bytearray(rest)
        if self._is_at_start:
            self._is_at_start = False
            blocks[0] = blocks[0].removeprefix(_BOM)
        return [data for block in blocks if block and (data := _data(block))]

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Write every line end as a line feed; a CR ends its line at once, and the LF that may follow is skipped."""
        if self._skips_line_feed and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skips_line_feed = False
        if chunk.endswith(b"\r"):
            self._skips_line_feed = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check_size(self, size: int) -> None:
        if size > MAX_EVENT:
            raise Broken(f"an event is longer than {MAX_EVENT} bytes", reason="malformed")


def _data(block: bytes) -> bytes:
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    fields = [_field(line) for line in block.split(b"\n") if line]
    data = b"\n".join([value for name, value in fields if name == b"data"])
    return ErrorEvent(data or b"error") if _ERROR in fields else data


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    if name not in _FIELDS:
        raise Broken("a line of the event stream is no field", reason="malformed")
    return name, value.removeprefix(b" ")
