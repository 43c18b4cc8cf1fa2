"""One RPC as it is on the wire: status, details and metadata, before any client of ours has read them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

PROCESS = "/penstock.v1.AgentService/Process"
STREAM = "/penstock.v1.AgentService/ProcessStream"
LIST_MODELS = "/penstock.v1.PoolService/ListModels"
LONGEST = 20.0

M = TypeVar("M", bound=Message)
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How an RPC ended, and what it sent before."""

    code: grpc.StatusCode
    message: str
    initial: Mapping[str, str | bytes]
    trailing: Mapping[str, str | bytes]
    messages: list[bytes] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """Why, in the contract's word; empty where the status has no details."""
        return self.detail(ErrorInfo).reason if "grpc-status-details-bin" in self.trailing else ""

    def detail(self, kind: type[M]) -> M:
        """The one detail of this kind."""
        status = Status.FromString(cast("bytes", self.trailing["grpc-status-details-bin"]))
        assert status.code == self.code.value[0]
        name = kind.DESCRIPTOR.full_name
        (found,) = [detail for detail in status.details if detail.TypeName() == name]
        unpacked = kind()
        found.Unpack(unpacked)
        return unpacked

    def response(self, kind: type[M]) -> M:
        """The last message."""
        return kind.FromString(self.messages[-1])


class Wire:
    """A channel without a client around it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def start(
        self, path: str, data: bytes, *, metadata: Metadata = (), timeout: float | None = LONGEST
    ) -> "grpc.aio.UnaryStreamCall[bytes, bytes]":
        """Start one RPC; a unary one is read like a stream of one message."""
        method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(path)
        return method(data, metadata=metadata, timeout=timeout)

    async def ask(
        self, path: str, request: Message | bytes, *, metadata: Metadata = (), timeout: float | None = LONGEST
    ) -> Ended:
        """Make one RPC and return how it ended; bytes are sent as they are."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        call = self.start(path, data, metadata=metadata, timeout=timeout)
        messages: list[bytes] = []
        with suppress(grpc.aio.AioRpcError):
            async for message in call:
                messages.append(message)  # noqa: PERF401 - what came before an error counts
        return Ended(
            code=await call.code(),
            message=await call.details() or "",
            initial=dict(await call.initial_metadata() or ()),
            trailing=dict(await call.trailing_metadata() or ()),
            messages=messages,
        )


@asynccontextmanager
async def wire(target: str, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[Wire]:
    """Connect to `target` for the length of the block, sharing no connection with other tests."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = (
        grpc.aio.secure_channel(target, credentials, options)
        if credentials
        else grpc.aio.insecure_channel(target, options)
    )
    async with channel:
        yield Wire(channel)
