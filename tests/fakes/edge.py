"""A gRPC server in this process with the adapter in front of handlers that a test writes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc.aio

from fakes.clock import FakeClock
from fakes.rpc import PROCESS, STREAM, Wire, wire
from penstock.v1.agent_service_pb2 import ProcessRequest, ProcessStreamRequest
from penstockd import messages
from penstockd.call import Call, Method
from penstockd.clock import Clock
from penstockd.endpoint import Endpoint, StreamEdge, WholeEdge
from penstockd.errors import PenstockError
from penstockd.grpc_adapter import Adapter
from penstockd.logs.log import Log
from penstockd.request import Request

Handle = Callable[[Call[Request]], Awaitable[None]]

ASK = ProcessRequest(input="hello")
"""Both requests have the same fields at the same numbers."""


@dataclass(frozen=True)
class Edge:
    """The adapter that serves, a raw channel to it, and the clock by which it tells stalled readers."""

    adapter: Adapter
    wire: Wire
    channel: grpc.aio.Channel
    clock: FakeClock


@asynccontextmanager
async def edge(handle: Handle) -> AsyncIterator[Edge]:
    """Serve both generating methods by `handle` for the length of the block."""
    clock = FakeClock()
    adapter = Adapter(clock=clock, log=Log("test"))
    adapter.serve(endpoints(handle, clock))
    server = grpc.aio.server(handlers=[adapter])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [("grpc.use_local_subchannel_pool", 1)]
    try:
        async with (
            wire(f"127.0.0.1:{port}") as connection,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel,
        ):
            yield Edge(adapter, connection, channel, clock)
    finally:
        await server.stop(None)


def endpoints(handle: Handle, clock: Clock) -> list[Endpoint[Any]]:
    """Both generating methods, handled by `handle`."""

    async def named(call: Call[Request]) -> None:
        call.outcome.request_id = "r1"
        await handle(call)

    async def refuse(call: Call[PenstockError]) -> None:
        call.outcome.request_id = "r1"
        raise call.request

    def read(kind: Callable[[], Any], data: bytes) -> Request:
        return messages.read_request(messages.parse(kind, data), default_agent="default")

    return [
        Endpoint(
            method=Method(PROCESS),
            read=partial(read, ProcessRequest),
            handle=named,
            refuse=refuse,
            edge=partial(WholeEdge, clock),
        ),
        Endpoint(
            method=Method(STREAM, streams=True),
            read=partial(read, ProcessStreamRequest),
            handle=named,
            refuse=refuse,
            edge=partial(StreamEdge, clock),
        ),
    ]
