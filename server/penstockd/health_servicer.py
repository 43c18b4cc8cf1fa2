"""grpc.health.v1: tells whoever asks, or watches, of the statuses that it was given."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2

from penstockd.errors import InvalidRequest
from penstockd.messages import parse

M = TypeVar("M", bound=Message)

# gRPC's classes are generic in their stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer:
    """Tells of statuses, which are set at once: the reference servicer lets a watcher who reads nothing hold up all."""

    def __init__(self) -> None:
        """Know no name yet."""
        self._statuses: dict[str, health_pb2.HealthCheckResponse.ServingStatus] = {}
        self._watches: dict[asyncio.Timeout, tuple[str, asyncio.Event]] = {}

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer at `server`, reading requests here: of bytes that are none gRPC would repeat what its decoder says."""
        status = health_pb2.HealthCheckResponse.SerializeToString
        statuses = health_pb2.HealthListResponse.SerializeToString
        handlers: dict[str, MethodHandler] = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, response_serializer=status),
            "List": grpc.unary_unary_rpc_method_handler(self._list, response_serializer=statuses),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, response_serializer=status),
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(health.SERVICE_NAME, handlers)])

    @property
    def statuses(self) -> Mapping[str, health_pb2.HealthCheckResponse.ServingStatus]:
        """Every name's status."""
        return self._statuses

    def set(self, name: str, *, is_serving: bool) -> None:
        """Have `name` serve, or not, from now on."""
        self._statuses[name] = SERVING if is_serving else NOT_SERVING
        self._tell_watchers(name)

    def forget(self, name: str) -> None:
        """Know `name` no longer: its watchers are told so, and whoever checks it finds none."""
        self._statuses.pop(name, None)
        self._tell_watchers(name)

    def end_watches(self) -> None:
        """End every watch: gRPC waits for them as for any other call."""
        for watch in self._watches:
            watch.reschedule(asyncio.get_running_loop().time())

    async def _check(self, data: bytes, context: Context) -> health_pb2.HealthCheckResponse:
        """Return the status of a name, or end as NOT_FOUND."""
        request = await _read(health_pb2.HealthCheckRequest, data, context)
        if request.service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=self._statuses[request.service])

    async def _list(self, data: bytes, context: Context) -> health_pb2.HealthListResponse:
        """Return every name's status."""
        await _read(health_pb2.HealthListRequest, data, context)
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._statuses.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def _watch(self, data: bytes, context: Context) -> None:
        """Send the status of a name and every change of it, until the watcher leaves or all watches are ended.

        Whoever takes them slowly may miss some in between, as the protocol allows, but never the latest.
        """
        request = await _read(health_pb2.HealthCheckRequest, data, context)
        watch, changed = asyncio.timeout(None), asyncio.Event()
        self._watches[watch] = request.service, changed
        told, is_taken = None, True
        try:
            async with watch:
                while True:
                    changed.clear()
                    status = self._statuses.get(request.service, UNKNOWN)
                    if status != told:
                        told, is_taken = status, False
                        await context.write(health_pb2.HealthCheckResponse(status=status))
                        is_taken = True
                    await changed.wait()
        except (TimeoutError, grpc.aio.InternalError):
            # One that is ended says so by its status; whoever takes nothing, or is gone, does not take that either.
            if not is_taken:
                raise asyncio.CancelledError from None
        finally:
            del self._watches[watch]

    def _tell_watchers(self, name: str) -> None:
        for watched, changed in self._watches.values():
            if watched == name:
                changed.set()


async def _read(kind: type[M], data: bytes, context: Context) -> M:
    """The request that `data` is; ends the call as INVALID_ARGUMENT where it is none."""
    try:
        return parse(kind, data)
    except InvalidRequest as error:
        return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
