"""Tools learn from the daemon itself what it serves."""

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from penstockd.reflection import add_reflection

METHOD = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """A client of a server that tells of one service beside this one."""
    server = grpc.aio.server()
    add_reflection(server, ["penstock.v1.AgentService"])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def ask(channel: grpc.aio.Channel, *requests: bytes) -> list[ServerReflectionResponse]:
    """Send these on one call, and return what each is answered."""
    method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(METHOD)
    return [ServerReflectionResponse.FromString(answer) async for answer in method(iter(requests))]


async def test_the_services_are_listed(channel: grpc.aio.Channel) -> None:
    """This one too."""
    (answer,) = await ask(channel, ServerReflectionRequest(list_services="").SerializeToString())

    names = [service.name for service in answer.list_services_response.service]
    assert names == ["grpc.reflection.v1alpha.ServerReflection", "penstock.v1.AgentService"]


async def test_bytes_that_are_no_request_are_answered_as_such(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """The call goes on, the caller hears nothing of the decoder, and the log has no error of it."""
    symbol = ServerReflectionRequest(file_containing_symbol="penstock.v1.AgentService")

    broken, found = await ask(channel, b"\xff", symbol.SerializeToString())

    assert broken.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert found.HasField("file_descriptor_response")
    assert caplog.records == []
