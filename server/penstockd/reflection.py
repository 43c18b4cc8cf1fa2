"""What tools such as grpcurl are told: which services there are, and what their messages look like."""

from collections.abc import Iterable

import grpc
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection import SERVICE_NAME, aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Tell at `server` of these services, and of this one."""
    handler = grpc.stream_stream_rpc_method_handler(
        aio.ReflectionServicer([*services, SERVICE_NAME]).ServerReflectionInfo,
        request_deserializer=_read,
        response_serializer=ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": handler}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE_NAME, handlers)])


def _read(data: bytes) -> ServerReflectionRequest:
    """The request that `data` is, else one that asks nothing, which is answered as INVALID_ARGUMENT.

    Of what cannot be read gRPC would tell the caller and the log what the decoder says, as of an error of ours.
    """
    try:
        return ServerReflectionRequest.FromString(data)
    except DecodeError:
        return ServerReflectionRequest()
