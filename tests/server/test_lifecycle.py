"""The daemon starts whole, drains politely, and ends."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from msgspec import Struct
from prometheus_client import CollectorRegistry

from fakes.clock import FakeClock
from fakes.edge import ASK, Handle, endpoints
from fakes.rpc import PROCESS, Ended, wire
from penstock.v1.agent_service_pb2 import ProcessResponse
from penstockd import lifecycle
from penstockd.admin import Admin
from penstockd.call import Call, Completed, Delta
from penstockd.changes import Changes
from penstockd.grpc_adapter import Adapter
from penstockd.grpc_server import grpc_server
from penstockd.health import Health
from penstockd.lifecycle import Daemon, Ports
from penstockd.listener import CannotListen, Listener
from penstockd.logs.log import Log
from penstockd.outcome import FinishReason
from penstockd.request import Request


class NoSnapshot(Struct):
    """What nobody looks at."""


class Work:
    """A handler that says when it was started, and goes on until it is told."""

    def __init__(self, *, is_stubborn: bool = False) -> None:
        self.started, self.release = asyncio.Event(), asyncio.Event()
        self._is_stubborn = is_stubborn

    async def __call__(self, call: Call[Request]) -> None:
        self.started.set()
        while True:
            try:
                await self.release.wait()
                break
            except asyncio.CancelledError:
                if not self._is_stubborn:
                    raise
        await call.send(Delta("done"))
        await call.send(Completed(finish_reason=FinishReason.STOP))


class Closer:
    """Something to close, which may fail to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closed = 0
        self._error = error

    async def __call__(self) -> None:
        self.closed += 1
        if self._error is not None:
            raise self._error


class Life:
    """A daemon that runs, its address, and that of its port for health alone."""

    def __init__(self, daemon: Daemon, adapter: Adapter, health: Health, ports: Ports) -> None:
        self.daemon = daemon
        self.adapter = adapter
        self.health = health
        self.address = f"127.0.0.1:{ports.grpc}"
        self.health_address = f"127.0.0.1:{ports.health}"
        self.running = asyncio.ensure_future(daemon.run())

    async def ask(self) -> Ended:
        """Make one call."""
        async with wire(self.address) as channel:
            return await channel.ask(PROCESS, ASK)


def built(
    handle: Handle,
    *,
    address: str = "127.0.0.1:0",
    drain_delay: float = 0.0,
    drain_timeout: float = 10.0,
    closers: tuple[Callable[[], Awaitable[None]], ...] = (),
    admin_port: int = 0,
    changes: Changes | None = None,
) -> tuple[Daemon, Adapter, Health]:
    """A daemon that is not started."""
    clock, log = FakeClock(), Log("test")
    adapter, health = Adapter(clock=clock, log=log), Health([])
    adapter.serve(endpoints(handle, clock))
    listeners = []
    for handlers, where in (([adapter], address), ([], "127.0.0.1:0")):
        server = grpc_server(handlers=handlers, max_message=4096, max_streams=100)
        health.servicer.add_to(server)
        listeners.append(Listener(server=server, address=where, setting="PENSTOCK_LISTEN"))
    daemon = Daemon(
        listeners=listeners,
        admin=Admin(
            host="127.0.0.1",
            port=admin_port,
            token=None,
            registry=CollectorRegistry(),
            health=health,
            snapshot=NoSnapshot,
            log=log,
        ),
        adapter=adapter,
        health=health,
        changes=changes or Changes(clock),
        drain_delay=drain_delay,
        drain_timeout=drain_timeout,
        closers=closers,
        log=log,
    )
    return daemon, adapter, health


@asynccontextmanager
async def life(handle: Handle, **options: object) -> AsyncIterator[Life]:
    """A daemon that serves; the block must end it."""
    daemon, adapter, health = built(handle, **options)  # type: ignore[arg-type]  # they are built's own
    ports = await daemon.start()
    it = Life(daemon, adapter, health, ports)
    yield it
    await asyncio.wait_for(it.running, 10.0)


async def test_a_daemon_is_ready_once_it_listens_everywhere() -> None:
    """And closes what it was given, in order, at the end."""
    closer = Closer()
    changes = Changes(FakeClock())
    daemon, _, health = built(Work(), closers=(closer,), changes=changes)
    assert health.reasons == ["starting"]

    ports = await daemon.start()

    assert health.reasons == []
    assert len({ports.grpc, ports.admin, ports.health}) == 3
    daemon.stop()
    await daemon.run()
    assert health.reasons == ["draining"]
    assert [change.state for change in changes.latest] == ["draining", "ready"]
    assert closer.closed == 1


async def test_a_drain_lets_calls_finish() -> None:
    """The one in flight is answered whole; the daemon ends after it."""
    work = Work()
    async with life(work) as it:
        asked = asyncio.ensure_future(it.ask())
        await work.started.wait()

        it.daemon.stop()
        await drained(it)
        work.release.set()

        assert (await asked).response(ProcessResponse).output == "done"


async def test_during_the_delay_calls_are_still_taken() -> None:
    """Load balancers need time to see that it goes."""
    work = Work()
    work.release.set()
    async with life(work, drain_delay=60.0) as it:
        it.daemon.stop()
        await drained(it)

        assert (await it.ask()).code is grpc.StatusCode.OK
        it.daemon.stop()


async def test_health_is_told_on_its_own_port_to_the_end() -> None:
    """The process lives on with its last calls, when nobody new is let in any more."""
    work = Work()
    async with life(work) as it:
        asked = asyncio.ensure_future(it.ask())
        await work.started.wait()
        it.daemon.stop()
        await refused(it.address)

        async with grpc.aio.insecure_channel(it.health_address) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            told = [(await check(health_pb2.HealthCheckRequest(service=name))).status for name in ("liveness", "")]
        work.release.set()

        assert told == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]
        assert (await asked).code is grpc.StatusCode.OK


async def test_a_call_that_does_not_end_is_cut() -> None:
    """With a status that sends its caller elsewhere."""
    work = Work()
    async with life(work, drain_timeout=0.05) as it:
        asked = asyncio.ensure_future(it.ask())
        await work.started.wait()

        it.daemon.stop()
        ended = await asked

    assert ended.code is grpc.StatusCode.UNAVAILABLE
    assert ended.reason == "DRAINING"
    assert ended.trailing["grpc-retry-pushback-ms"] == "100"


async def test_a_second_signal_hurries() -> None:
    """It skips the rest of the drain."""
    work = Work()
    async with life(work, drain_timeout=600.0) as it:
        asked = asyncio.ensure_future(it.ask())
        await work.started.wait()
        it.daemon.stop()
        await drained(it)

        it.daemon.stop()

        assert (await asked).reason == "DRAINING"


async def test_a_call_that_ignores_its_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon ends without it."""
    monkeypatch.setattr(lifecycle, "LAST_WORDS", 0.05)
    work, closer = Work(is_stubborn=True), Closer()
    async with life(work, drain_timeout=0.05, closers=(closer,)) as it:
        asked = asyncio.ensure_future(it.ask())
        await work.started.wait()
        it.daemon.stop()

        await asyncio.wait_for(it.running, 10.0)
        assert closer.closed == 1
        work.release.set()
        await asked


async def test_what_cannot_be_closed_keeps_nothing_else_open(caplog: pytest.LogCaptureFixture) -> None:
    """The error is in the log, and the next is closed."""
    error, closer = OSError("the collector is gone"), Closer()
    async with life(Work(), closers=(Closer(error), closer)) as it:
        it.daemon.stop()

    assert closer.closed == 1
    assert [record.exc_info[1] for record in caplog.records if record.name == "test" and record.exc_info] == [error]


async def test_a_taken_address_is_one_clear_line() -> None:
    """Of a listener, of the admin port, of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        address = f"127.0.0.1:{port}"
        daemon, _, _ = built(Work(), address=address)

        with pytest.raises(CannotListen, match=rf"cannot listen on {address}: it is taken.*; PENSTOCK_LISTEN "):
            await daemon.start()

        daemon, _, _ = built(Work(), admin_port=port)
        with pytest.raises(CannotListen, match=r"cannot listen on .*: it is taken.*; PENSTOCK_ADMIN_LISTEN "):
            await daemon.start()
        await daemon.close()


async def refused(address: str) -> None:
    """Return once nobody listens at the address any more."""
    host, _, port = address.rpartition(":")
    with suppress(ConnectionError):  # a socket that closes just then resets whom it has let in
        while True:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            await writer.wait_closed()


async def drained(it: Life) -> None:
    """Return once the daemon has begun to drain."""
    for _ in range(1000):
        if it.health.reasons:
            return
        await asyncio.sleep(0)
    pytest.fail("it does not drain")
