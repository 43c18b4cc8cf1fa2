"""An OpenAI-compatible upstream that costs next to nothing, so that what is measured is the server in front of it.

Each token is an event, a chunk and a write of its own that says when it was sent: under /paced/ every few milliseconds,
elsewhere as fast as the loop turns.
"""

import asyncio
import re
import time
from typing import cast

import uvloop

ANSWER = "The parcel left our house on Monday and should be with you by Thursday. " * 6
TOKENS = 128
PACE = 0.004
"""Seconds between two paced tokens."""

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_USAGE = f'{{"prompt_tokens":60,"completion_tokens":{TOKENS},"total_tokens":{60 + TOKENS}}}'
_BODY = '{"id":"chatcmpl-1","object":"chat.completion%s","created":1,"model":"gpt-4","choices":[%s],"usage":%s}'
_CHOICE = '{"index":0,%s,"logprobs":null,"finish_reason":%s}'


def _whole() -> bytes:
    body = _BODY % ("", _CHOICE % (f'"message":{{"role":"assistant","content":"{ANSWER}"}}', '"stop"'), _USAGE)
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def _chunk(data: str) -> bytes:
    event = f"data: {data}\n\n"
    return f"{len(event):x}\r\n{event}\r\n".encode()


_WHOLE = _whole()
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
# The time goes in where the row of noughts is, as wide as it, so that the length of the chunk holds.
_TOKEN = _chunk(_BODY % (".chunk", _CHOICE % (f'"delta":{{"content":" token@{"0" * 19}."}}', "null"), "null"))
_TOKEN = _TOKEN.replace(b"0" * 19, b"%019d")
_ENDING = _chunk(_BODY % (".chunk", _CHOICE % ('"delta":{}', '"stop"'), "null"))
_ENDING += _chunk(_BODY % (".chunk", "", _USAGE)) + _chunk("[DONE]") + b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """Answers each request, reading no more of it than it must."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports behave as asyncio's, and inherit nothing.
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""
        self._streams: set[asyncio.Task[None]] = set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        if b'"stream":true' not in body:
            self._transport.write(_WHOLE)
            return
        stream = asyncio.create_task(self._stream(PACE if head.startswith(b"POST /paced/") else 0.0))
        self._streams.add(stream)
        stream.add_done_callback(self._streams.discard)

    async def _stream(self, pace: float) -> None:
        self._transport.write(_STREAM)
        for _ in range(TOKENS):
            # Even no pace ends the turn of the loop, which is when it writes.
            await asyncio.sleep(pace)
            if self._transport.is_closing():
                return
            self._transport.write(_TOKEN % time.monotonic_ns())
        self._transport.write(_ENDING)


async def serve() -> None:
    """Serve on a free port, which is said in one line, until killed."""
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(f'{{"listen": "127.0.0.1:{server.sockets[0].getsockname()[1]}"}}', flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
