"""A TCP proxy that behaves like a bad network."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Self

READ = 64 << 10
SMOOTH = 0.02
"""Seconds of its bandwidth that are let through at once."""
ON_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What happens to what the upstream says; requests go through untouched, unless nothing does."""

    latency: float = 0.0
    """Seconds that each read is held back."""
    bandwidth: float = float("inf")
    """Bytes a second."""
    limit: float = float("inf")
    """Bytes of one connection, after which it is reset."""
    is_blackhole: bool = False
    """Nothing goes through in either direction, and nothing is closed."""


FAIR = Weather()


class TcpProxy:
    """Stands before a port of this machine within `async with`; `weather` may change at any time.

    It counts connections, and each time that a fault fired.
    """

    def __init__(self, port: int) -> None:
        self._upstream_port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.weather = FAIR
        self.connections = 0
        self.faults = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where to ask."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def reset(self) -> None:
        """Reset every connection that is open."""
        for writer in list(self._connections):
            self._cut(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._connections.add(writer)
        self.connections += 1
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, upstream))
                group.create_task(self._answer(upstream_reader, writer))
        except* OSError:
            pass
        finally:
            self._connections.discard(writer)
            self._serving.discard(task)
            writer.transport.abort()
            upstream.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ):
            await self._swallow()
            upstream.write(data)
            await upstream.drain()
        raise ConnectionResetError

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while data := await reader.read(self._at_once()):
            await self._swallow()
            await self._delay(len(data))
            allowed = data[: int(min(max(self.weather.limit - sent, 0), len(data)))]
            writer.write(allowed)
            await writer.drain()
            sent += len(allowed)
            if len(allowed) < len(data):
                self._cut(writer)
                return
        raise ConnectionResetError

    def _at_once(self) -> int:
        return max(1, int(min(READ, self.weather.bandwidth * SMOOTH)))

    async def _swallow(self) -> None:
        if self.weather.is_blackhole:
            self.faults += 1
            await asyncio.Event().wait()

    async def _delay(self, size: int) -> None:
        seconds = self.weather.latency + size / self.weather.bandwidth
        if seconds:
            self.faults += 1
            await asyncio.sleep(seconds)

    def _cut(self, writer: asyncio.StreamWriter) -> None:
        if writer.transport.is_closing():
            return
        self.faults += 1
        plain: socket.socket = writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ON_RESET)
        writer.transport.abort()
