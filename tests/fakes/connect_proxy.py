"""An HTTP proxy that opens tunnels, or does what it is told instead."""

import asyncio
import ssl
from typing import Self

READ = 64 << 10


class ConnectProxy:
    """Listens on a free port within `async with` and connects every tunnel to `port` of this machine.

    `heads` are the requests it got; `answer` is what it says to each, and unless that is a 200 it says no more.
    """

    def __init__(
        self, port: int, *, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n", tls: ssl.SSLContext | None = None
    ) -> None:
        self.heads: list[str] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self._upstream_port = port
        self._answer = answer
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._serving.values():
            writer.transport.abort()
        await asyncio.gather(*self._serving)

    @property
    def authority(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self._answer)
            self.asked.set()
            if b" 200 " in self._answer:
                await self._join(reader, writer)
            else:
                await reader.read()
        except (OSError, EOFError):
            pass
        finally:
            self.left.set()
            del self._serving[task]
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        ways = [asyncio.ensure_future(_carry(reader, upstream)), asyncio.ensure_future(_carry(upstream_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            upstream.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(READ):
        writer.write(data)
        await writer.drain()
