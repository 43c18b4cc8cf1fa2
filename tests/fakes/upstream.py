"""An HTTP/1.1 upstream that sends exactly the bytes it is told, and remembers what it saw."""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Self, TypeAlias, cast

import msgspec


class Fault(Enum):
    """What a connection may do besides sending bytes."""

    HANG = "say nothing more until the peer is gone"
    RESET = "send a TCP reset"
    CLOSE = "send a FIN"


@dataclass(frozen=True)
class Wait:
    """Say nothing for some seconds."""

    seconds: float


Step: TypeAlias = bytes | Wait | asyncio.Event | Fault
"""Bytes are sent as they are, in one write; an event is waited for."""

Script: TypeAlias = Iterable[Step]
"""What one response does. A generator may go on for ever: it is read as fast as the peer reads."""

HANG, RESET, CLOSE = Fault.HANG, Fault.RESET, Fault.CLOSE
PATIENCE = 5.0
"""Seconds after which what a test waits for will not happen."""
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(kw_only=True)
class Received:
    """One request as it came; `played` is set once its script has run to its end."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    played: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> object:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Upstream:
    """Listens on a free port within `async with`; each request takes the next script, else the standing one."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.connections: list[Connection] = []
        self._tls = tls
        self._scripts: deque[Script] = deque()
        self._standing: Callable[[Received], Script] = lambda request: (HANG,)
        self._greetings: deque[Script] = deque()
        self._server: asyncio.Server | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.hang_up()

    @property
    def port(self) -> int:
        """The port that was free."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where to ask."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def calls(self) -> int:
        """How many requests came in whole."""
        return len(self.requests)

    def answer(self, *steps: Step) -> None:
        """Play `steps` for the next request that has no script yet."""
        self._scripts.append(steps)

    def play(self, script: Script) -> None:
        """As `answer`, with a script that may be a generator."""
        self._scripts.append(script)

    def answer_always(self, *steps: Step) -> None:
        """Play `steps` for every request that has no script of its own."""
        self._standing = lambda request: steps

    def respond(self, script: Callable[[Received], Script]) -> None:
        """As `answer_always`, with a script made for each request."""
        self._standing = script

    def greet(self, *steps: Step) -> None:
        """Play `steps` on the next new connection, before a request is read."""
        self._greetings.append(steps)

    async def hang_up(self) -> None:
        """Close every connection, so that the next request needs a new one."""
        await asyncio.gather(*(connection.stop() for connection in self.connections))

    async def abandoned(self, *, connection: int = -1) -> float:
        """Wait until the peer closes a connection, and return when it did, on the loop's clock."""
        left = self.connections[connection]
        async with asyncio.timeout(PATIENCE):
            await left.gone.wait()
        return left.gone_at

    async def received(self, calls: int = 1) -> None:
        """Return once that many requests came in."""
        while self.calls < calls:
            await self._next_news()

    async def connected(self, connections: int = 1) -> None:
        """Return once that many connections were opened."""
        while len(self.connections) < connections:
            await self._next_news()

    async def played(self, call: int = -1) -> None:
        """Return once the script of that request has run to its end."""
        async with asyncio.timeout(PATIENCE):
            await self.requests[call].played.wait()

    def note(self, seen: "Received | Connection") -> None:
        """Remember a request or a connection."""
        if isinstance(seen, Received):
            self.requests.append(seen)
        else:
            self.connections.append(seen)
        self._news.set()

    async def _next_news(self) -> None:
        self._news.clear()
        async with asyncio.timeout(PATIENCE):
            await self._news.wait()

    def greeting(self) -> Script:
        """Take what the next connection does before it reads."""
        return self._greetings.popleft() if self._greetings else ()

    def script(self, request: Received) -> Script:
        """Take what `request` is answered with."""
        return self._scripts.popleft() if self._scripts else self._standing(request)


@dataclass(eq=False)
class Connection(asyncio.Protocol):
    """One connection of an upstream; `gone` is set when the peer has closed or reset it."""

    upstream: Upstream
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    gone_at: float = 0.0
    sent: int = 0

    def __post_init__(self) -> None:
        self._received = bytearray()
        self._news = asyncio.Event()
        self._is_writable = asyncio.Event()
        self._is_writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self.upstream.note(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._news.set()

    def eof_received(self) -> None:
        self._is_gone()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_gone()

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()

    @property
    def alpn(self) -> str | None:
        """The protocol that was agreed on under TLS."""
        agreed: str | None = self._transport.get_extra_info("ssl_object").selected_alpn_protocol()
        return agreed

    async def stop(self) -> None:
        """Drop the connection and whatever it was doing."""
        self._transport.abort()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _is_gone(self) -> None:
        if not self.gone.is_set():
            self.gone_at = asyncio.get_running_loop().time()
            self.gone.set()
            self._news.set()
            self._is_writable.set()

    async def _serve(self) -> None:
        await self._play(self.upstream.greeting())
        while request := await self._request():
            self.upstream.note(request)
            await self._play(self.upstream.script(request))
            if not self.gone.is_set():
                request.played.set()

    async def _request(self) -> Received | None:
        while not self.gone.is_set():
            if request := self._parsed():
                return request
            self._news.clear()
            await self._news.wait()
        return None

    def _parsed(self) -> Received | None:
        head, end, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return None
        self._received = bytearray(rest[length:])
        method, path, _ = first.split(" ")
        now = asyncio.get_running_loop().time()
        return Received(method=method, path=path, headers=headers, body=rest[:length], at=now)

    async def _play(self, script: Script) -> None:
        for step in script:
            if self.gone.is_set():
                return
            match step:
                case bytes():
                    await self._send(step)
                case Wait(seconds):
                    await self._unless_gone(asyncio.sleep(seconds))
                case asyncio.Event():
                    await self._unless_gone(step.wait())
                case Fault.HANG:
                    await self.gone.wait()
                case Fault.RESET:
                    self._reset()
                case Fault.CLOSE:
                    self._transport.close()

    async def _send(self, data: bytes) -> None:
        self._transport.write(data)
        self.sent += len(data)
        await self._is_writable.wait()
        await asyncio.sleep(0)

    async def _unless_gone(self, waiting: Coroutine[object, None, object]) -> None:
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self.gone.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    def _reset(self) -> None:
        plain: socket.socket = self._transport.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def head(status: int = 200, **headers: str) -> bytes:
    """The head of a response; `content_type="text/html"` becomes a header of that name."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode("latin-1")


def response(body: bytes, status: int = 200, **headers: str) -> bytes:
    """A whole response, JSON unless it says otherwise."""
    return head(status, **{"content_type": "application/json", "content_length": str(len(body)), **headers}) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a body that is sent in chunks."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


STREAM_HEAD = head(content_type="text/event-stream", transfer_encoding="chunked")
"""The head of a streamed response; `chunk(…)` follows, and LAST_CHUNK at the end."""


def stream(*pieces: bytes) -> tuple[bytes, ...]:
    """The steps of a whole streamed response that sends each of `pieces` by itself."""
    return (STREAM_HEAD, *(chunk(piece) for piece in pieces), LAST_CHUNK)
