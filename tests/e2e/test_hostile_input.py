"""Whatever arrives, the daemon answers with a clean status and serves on."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from grpc import StatusCode

from fakes import raw_http2
from fakes.rpc import PROCESS, STREAM, Wire, wire
from peers.live_daemon import Penstockd
from penstock.v1.agent_service_pb2 import ProcessRequest

HELLO = ProcessRequest(input="hello")
SECRET = b"pk_do-not-log-me"
BOTH = pytest.mark.parametrize("path", [PROCESS, STREAM])


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def client(echo: Penstockd) -> AsyncIterator[Wire]:
    """A channel to the daemon, which must still serve after the test, having met nothing unforeseen."""
    async with wire(echo.target) as client:
        yield client
        assert (await client.ask(PROCESS, HELLO)).code == StatusCode.OK
    assert [line for line in echo.lines if line["level"] == "ERROR"] == []


@BOTH
async def test_random_bytes_as_a_request(path: str, client: Wire) -> None:
    """Five hundred a method: most are no message at all, a few are one with a bad field or an unknown agent."""
    chance = random.Random(20)
    requests = [chance.randbytes(chance.choice([1, 2, 3, 5, 8, 50, 500])) for _ in range(500)]

    endings = []
    for first in range(0, 500, 50):
        endings += await asyncio.gather(*(client.ask(path, data) for data in requests[first : first + 50]))

    assert {(ended.code, ended.reason) for ended in endings} <= {
        (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (StatusCode.NOT_FOUND, "AGENT_NOT_FOUND"),
        (StatusCode.OK, ""),
    }
    assert all(ended.trailing.get("x-request-id") for ended in endings if ended.code != StatusCode.OK)


@pytest.mark.parametrize("method", ["Check", "List", "Watch"])
async def test_random_bytes_to_the_health_service(method: str, client: Wire) -> None:
    """Nobody needs a key for it, and so nobody may fill the log by it either."""
    ended = await client.ask(f"/grpc.health.v1.Health/{method}", b"\xff")

    assert (ended.code, "decod" in ended.message.lower()) == (StatusCode.INVALID_ARGUMENT, False)


async def test_random_bytes_to_reflection(client: Wire) -> None:
    """As above; what they are is said in an answer."""
    ended = await client.ask("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", b"\xff")

    assert (ended.code, len(ended.messages)) == (StatusCode.OK, 1)


async def test_a_caller_who_leaves_before_its_answer_is_sent(echo: Penstockd, client: Wire) -> None:
    """That is its own affair, and no error in the log; gRPC holds an answer for which there is no window."""
    reader = raw_http2.SlowReader(window=0)
    await reader.connect(echo.target)
    reader.ask(PROCESS, ProcessRequest(input="hello", request_id="left").SerializeToString())
    await echo.line("call finished", request_id="left")

    reader.close()

    await asyncio.sleep(0.3)


@pytest.mark.parametrize(("kilobytes", "code"), [(20, StatusCode.OK), (3000, StatusCode.RESOURCE_EXHAUSTED)])
async def test_much_metadata(client: Wire, kilobytes: int, code: StatusCode) -> None:
    """Over the limit gRPC itself refuses it; on either side of it, always and not at random."""
    metadata = tuple((f"x-large-{number}", "v" * 1000) for number in range(kilobytes))

    endings = [await client.ask(PROCESS, HELLO, metadata=metadata) for _ in range(5)]

    assert {ended.code for ended in endings} == {code}


async def test_a_message_over_the_limit(client: Wire) -> None:
    """Four mebibytes, unless the configuration says otherwise."""
    ended = await client.ask(PROCESS, ProcessRequest(input="x" * (5 << 20)))

    assert ended.code == StatusCode.RESOURCE_EXHAUSTED


async def test_two_credentials(client: Wire) -> None:
    """Nobody chooses which of them counts."""
    metadata = (("authorization", "Bearer one"), ("authorization", "Bearer two"))

    ended = await client.ask(PROCESS, HELLO, metadata=metadata)

    assert (ended.code, ended.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-request-id", b"one\r\nx-injected: two"),
        (b"x-request-id", SECRET + b"\x00\xff"),
        (b"authorization", b"Bearer " + SECRET + b"\xff"),
        (b"authorization", b"Bearer one\r\nauthorization: Bearer two"),
        (b"traceparent", b"00-\r\n-01"),
    ],
    ids=["crlf-id", "binary-id", "binary-credential", "crlf-credential", "crlf-traceparent"],
)
async def test_values_that_no_library_would_send(name: bytes, value: bytes, echo: Penstockd, client: Wire) -> None:
    """They are ignored where they mean nothing, and never repeated, in the log neither."""
    peer = await raw_http2.ask(echo.target, PROCESS, HELLO.SerializeToString(), [(name, value)])

    line = await echo.line("call finished", peer=peer)
    assert line["code"] == "OK"
    assert len(line["request_id"]) == 36
    assert SECRET.decode() not in str(echo.lines)
    assert "injected" not in str(echo.lines)


@pytest.mark.parametrize("name", [b"X-Upper", b"a b", b"grpc-timeout", b"grpc-previous-rpc-attempts", b"x-bin", b""])
async def test_headers_that_are_none(name: bytes, echo: Penstockd, client: Wire) -> None:
    """gRPC ends the call or the connection by itself."""
    await raw_http2.ask(echo.target, PROCESS, HELLO.SerializeToString(), [(name, b"\xffnever")])


@pytest.mark.parametrize(
    "path",
    ["/penstock.v1.AgentService/Nothing", "/nothing.v1.Nothing/Process", "//x/Y", "/", "/penstock.v1.AgentService/"],
)
async def test_paths_that_lead_nowhere(path: str, client: Wire) -> None:
    """They are unknown methods, not errors of ours."""
    ended = await client.ask(path, HELLO)

    assert ended.code == StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 1000],
    ids=["http/1.1", "tls", "zeros"],
)
async def test_a_connection_that_speaks_something_else(data: bytes, echo: Penstockd, client: Wire) -> None:
    """It is closed."""
    await _say(echo, data)


async def _say(daemon: Penstockd, data: bytes) -> None:
    """Send raw bytes and wait for the connection's end."""
    host, _, port = daemon.target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(15):
        with suppress(ConnectionResetError):
            await reader.read()
    writer.transport.abort()
