"""A gRPC client that sends and takes as it is told: libraries refuse to send what it sends (RFC 9113, RFC 7541)."""

import asyncio
import socket
import struct
from collections.abc import Sequence

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
INITIAL_WINDOW_SIZE = 4
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PATIENCE = 10.0
BUFFER = 64 * 1024
"""Bytes that wait here at most; more waits with the daemon."""

Fields = Sequence[tuple[bytes, bytes]]


async def ask(target: str, path: str, message: bytes, fields: Fields) -> str:
    """Make one call with these fields, wait until the server has ended it, and return what it knows us as."""
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + _frame(SETTINGS, 0, 0, b"") + _head(target, path, fields) + _body(message))
    try:
        async with asyncio.timeout(PATIENCE):
            await _stream_ended(reader, writer)
    finally:
        peer, port = writer.get_extra_info("sockname")
        writer.transport.abort()
    return f"ipv4:{peer}:{port}"


class SlowReader:
    """Makes one call, and takes its answer at leisure; `taken` is how many bytes of it so far."""

    def __init__(self, *, every: float = 1.0, window: int | None = None) -> None:
        """Let the server send 64 KiB of its answer every so many seconds: gRPC holds the rest.

        With a `window` it may send that many bytes at once, and a frame of them is taken every so many seconds: the
        system holds the rest. A window of 0 lets it send nothing.
        """
        self.taken = 0
        self._every = every
        self._window = window

    async def connect(self, target: str) -> None:
        """Connect, and wait for the server; the system holds as little as it can on this side."""
        host, _, port = target.rpartition(":")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        connection.connect((host, int(port)))
        self._target = target
        self._reader, self._writer = await asyncio.open_connection(sock=connection, limit=BUFFER // 4)
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, self._window) if self._window is not None else b""
        self._writer.write(PREFACE + _frame(SETTINGS, 0, 0, settings))
        if self._window:
            self._writer.write(_window_update(0, self._window))
        await self._frame()

    def ask(self, path: str, message: bytes, *, is_whole: bool = True) -> None:
        """Send the call, or only its head."""
        self._writer.write(_head(self._target, path, ()) + (_body(message) if is_whole else b""))

    async def read(self) -> bool:
        """Take the answer; return whether a status came, whichever it is."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    kind, flags, stream, payload = await self._frame()
                    if kind == RESET or (kind == HEADERS and flags & END_STREAM):
                        return kind == HEADERS
                    if kind == PING and not flags & ACK:
                        self._writer.write(_frame(PING, ACK, 0, payload))
                    if kind == DATA:
                        self.taken += len(payload)
                        if self._window:
                            await asyncio.sleep(self._every)
                            self._allow(stream, len(payload))
                        else:
                            asyncio.get_running_loop().call_later(self._every, self._allow, stream, len(payload))
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        finally:
            self.close()

    def close(self) -> None:
        """Leave at once."""
        self._writer.transport.abort()

    async def _frame(self) -> tuple[int, int, int, bytes]:
        header = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(header[:3]))
        return header[3], header[4], int.from_bytes(header[5:]), payload

    def _allow(self, stream: int, size: int) -> None:
        if not self._writer.is_closing():
            self._writer.write(_window_update(0, size) + _window_update(stream, size))


async def _stream_ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        header = await reader.readexactly(9)
        kind, flags = header[3], header[4]
        await reader.readexactly(int.from_bytes(header[:3]))
        if kind == SETTINGS and not flags & ACK:
            writer.write(_frame(SETTINGS, ACK, 0, b""))
        if kind in (RESET, GOAWAY) or (kind in (HEADERS, DATA) and flags & END_STREAM):
            return


def _head(target: str, path: str, fields: Fields) -> bytes:
    head = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", target.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *fields,
    ]
    return _frame(HEADERS, END_HEADERS, 1, b"".join(_literal(name, value) for name, value in head))


def _body(message: bytes) -> bytes:
    return _frame(DATA, END_STREAM, 1, b"\0" + struct.pack(">I", len(message)) + message)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _window_update(stream: int, size: int) -> bytes:
    return _frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def _literal(name: bytes, value: bytes) -> bytes:
    """A field that is neither indexed nor compressed."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
