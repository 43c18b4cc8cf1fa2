"""The daemon's life: start, serve, drain, stop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from penstockd.admin import Admin
from penstockd.changes import Changes
from penstockd.errors import Draining
from penstockd.grpc_adapter import Adapter
from penstockd.health import Health
from penstockd.listener import CannotListen, Listener
from penstockd.logs.log import Log

QUIET = 0.1
"""Seconds without a call after which a server that takes no new ones has none left."""
LONGEST_CLOSE = 15.0
"""Seconds that closing one part may take, so that the daemon always ends."""
LAST_WORDS = 5.0
"""Seconds that calls have to settle and end once they were cut."""
LAST_BYTES = 5.0
"""Seconds that readers have for what the system holds for them, once gRPC has sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the daemon listens in the end; `health` is the port for health alone, if there is one."""

    grpc: int
    admin: int
    health: int | None = None


class Daemon:
    """Starts, serves until asked to stop, drains and stops; `closers` run last, in order."""

    def __init__(
        self,
        *,
        listeners: Sequence[Listener],
        admin: Admin,
        adapter: Adapter,
        health: Health,
        changes: Changes,
        drain_delay: float,
        drain_timeout: float,
        closers: Sequence[Callable[[], Awaitable[None]]],
        log: Log,
    ) -> None:
        """The first listener is the main one, the others serve health only; times in seconds."""
        self._listeners = listeners
        self._admin = admin
        self._adapter = adapter
        self._health = health
        self._changes = changes
        self._drain_delay = drain_delay
        self._drain_timeout = drain_timeout
        self._closers = closers
        self._log = log
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()

    async def start(self) -> Ports:
        """Listen everywhere and be ready; raises CannotListen."""
        ports = [listener.bind() for listener in self._listeners]
        try:
            admin_port = await self._admin.start()
        except OSError as error:
            raise CannotListen(self._admin.address, "PENSTOCK_ADMIN_LISTEN", error) from error
        self._health.start()
        for listener in self._listeners:
            await listener.server.start()
        self._health.remove_reason("starting")
        self._changes.add("daemon", "penstockd", "ready")
        return Ports(grpc=ports[0], admin=admin_port, health=next(iter(ports[1:]), None))

    def stop(self) -> None:
        """Ask for a drain; asked again, skip to cutting what still runs."""
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    async def run(self) -> None:
        """Serve until asked to stop, then drain; returns when everything has ended."""
        await self._stopping.wait()
        self._log.info("draining", calls=self._adapter.unsent, drain_delay=self._drain_delay)
        self._health.add_reason("draining")
        self._changes.add("daemon", "penstockd", "draining")
        await _any_of(self._hurrying.wait(), seconds=self._drain_delay)
        # Our clients are told to go elsewhere at once, by GOAWAY. The grace is longer than what calls get of us: we cut
        # them with a status where gRPC would only reset them. It is ours to shorten below.
        grace = self._drain_timeout + 2 * LAST_WORDS
        # The others stay to the end: the process lives, and whoever asks should hear so.
        going = asyncio.ensure_future(self._listeners[0].server.stop(grace))
        loop = asyncio.get_running_loop()
        drained_by = loop.time() + self._drain_timeout
        await _any_of(self._quiet(), self._hurrying.wait(), seconds=self._drain_timeout)
        if self._adapter.in_flight:
            self._log.warning("cutting calls that did not end in time", calls=self._adapter.in_flight)
            self._adapter.cut(Draining("the server is going away", retry_after=0.1))
            await _any_of(self._adapter.idle(), seconds=LAST_WORDS)
        if self._adapter.unsent:
            self._log.warning("leaving readers that did not take their answers in time", calls=self._adapter.unsent)
        self._health.servicer.end_watches()
        # An idle connection ends once its client has read up to a ping: to end it before would lose what is under way.
        # A client that is frozen, or a call whose message never comes, holds this up no longer than that may take.
        rest = max(0.0, min(LAST_BYTES - self._adapter.since_sent, drained_by - loop.time()))
        await _any_of(asyncio.shield(going), self._hurrying.wait(), seconds=rest)
        ending = [listener.server.stop(None) for listener in self._listeners]
        await _any_of(asyncio.gather(*ending, going), seconds=LAST_WORDS)
        await self.close()
        self._log.info("stopped", calls=self._adapter.in_flight)

    async def _quiet(self) -> None:
        """Return when every call was sent to its end and none came for a moment: gRPC has calls before we see them."""
        seen = -1
        while seen != self._adapter.started or self._adapter.unsent:
            await self._adapter.idle()
            seen = self._adapter.started
            await asyncio.sleep(QUIET)

    async def close(self) -> None:
        """Close what calls no longer need; what cannot be closed keeps nothing else open."""
        for close in (self._admin.stop, *self._closers):
            try:
                async with asyncio.timeout(LONGEST_CLOSE):
                    await close()
            except Exception as error:  # noqa: BLE001 - the ledger behind it must be closed all the same
                self._log.exception("closing failed", error)


async def _any_of(*waits: Awaitable[object], seconds: float) -> None:
    """Return when one of `waits` is over, or after `seconds`."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
