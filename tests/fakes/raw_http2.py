"""A gRPC client that sends whatever it is told: libraries refuse to send what this one sends (RFC 9113, RFC 7541)."""

import asyncio
import struct
from collections.abc import Sequence

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PATIENCE = 10.0

Fields = Sequence[tuple[bytes, bytes]]


async def ask(target: str, path: str, message: bytes, fields: Fields) -> str:
    """Make one call with these fields, wait until the server has ended it, and return what it knows us as."""
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", target.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *fields,
    ]
    body = b"\0" + struct.pack(">I", len(message)) + message
    writer.write(PREFACE + _frame(SETTINGS, 0, 0, b""))
    writer.write(_frame(HEADERS, END_HEADERS, 1, b"".join(_literal(name, value) for name, value in head)))
    writer.write(_frame(DATA, END_STREAM, 1, body))
    try:
        async with asyncio.timeout(PATIENCE):
            await _stream_ended(reader, writer)
    finally:
        peer, port = writer.get_extra_info("sockname")
        writer.transport.abort()
    return f"ipv4:{peer}:{port}"


async def _stream_ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        header = await reader.readexactly(9)
        kind, flags = header[3], header[4]
        await reader.readexactly(int.from_bytes(header[:3]))
        if kind == SETTINGS and not flags & ACK:
            writer.write(_frame(SETTINGS, ACK, 0, b""))
        if kind in (RESET, GOAWAY) or (kind in (HEADERS, DATA) and flags & END_STREAM):
            return


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A field that is neither indexed nor compressed."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
