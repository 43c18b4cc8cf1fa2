"""What a caller is told on the wire, whatever library reads it."""

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo
from grpc import StatusCode

from fakes.models import openai
from fakes.rpc import LIST_MODELS, PROCESS, STREAM, wire
from fakes.upstream import HANG, Upstream
from peers.live_daemon import Daemons, Penstockd
from penstock.v1.agent_service_pb2 import Message, ProcessRequest, ProcessResponse, ProcessStreamResponse
from penstock.v1.pool_service_pb2 import ListModelsRequest

ALL_AT_ONE = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("path", [PROCESS, STREAM])


@ALL_AT_ONE
@BOTH
async def test_a_refusal_names_its_reason_and_its_request_and_commits_nobody(path: str, echo: Penstockd) -> None:
    """It is Trailers-Only: an early header would stop the client's own transparent retries."""
    async with wire(echo.target) as client:
        ended = await client.ask(path, ProcessRequest(input="hi", agent="nobody", request_id="r-1"))

    assert (ended.code, ended.initial, ended.messages) == (StatusCode.NOT_FOUND, {}, [])
    assert ended.detail(ErrorInfo) == ErrorInfo(reason="AGENT_NOT_FOUND", domain="penstock.dev")
    assert ended.detail(RequestInfo).request_id == ended.trailing["x-request-id"] == "r-1"


@ALL_AT_ONE
@BOTH
async def test_an_answer_brings_its_request_id_with_the_first_message(path: str, echo: Penstockd) -> None:
    """The caller's own, by metadata, is kept in header, answer and log."""
    async with wire(echo.target) as client:
        ended = await client.ask(path, ProcessRequest(input="hi"), metadata=(("x-request-id", "theirs"),))

    assert (ended.code, ended.initial["x-request-id"]) == (StatusCode.OK, "theirs")
    last = ProcessResponse if path == PROCESS else ProcessStreamResponse
    assert "theirs" in str(ended.response(last))
    assert (await echo.line("call finished", request_id="theirs", method=path))["code"] == "OK"


@ALL_AT_ONE
@BOTH
async def test_every_bad_field_is_named(path: str, echo: Penstockd) -> None:
    """One answer is enough to mend the whole request."""
    request = ProcessRequest(history=[Message(content="who says so?")], user_id="u" * 129, request_id="a b")

    async with wire(echo.target) as client:
        ended = await client.ask(path, request)

    assert (ended.code, ended.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    fields = [violation.field for violation in ended.detail(BadRequest).field_violations]
    assert fields == ["input", "history[0].role", "user_id", "request_id"]


@ALL_AT_ONE
@BOTH
async def test_a_refused_request_keeps_its_id(path: str, echo: Penstockd) -> None:
    """Where another field is wrong, its caller and the operator still find it by that."""
    async with wire(echo.target) as client:
        ended = await client.ask(path, ProcessRequest(request_id="refused"))

    assert ended.reason == "INVALID_REQUEST"
    assert ended.detail(RequestInfo).request_id == ended.trailing["x-request-id"] == "refused"
    assert (await echo.line("call finished", request_id="refused", method=path))["code"] == "INVALID_ARGUMENT"


@ALL_AT_ONE
@pytest.mark.parametrize("path", [PROCESS, STREAM, LIST_MODELS])
async def test_bytes_that_are_no_request_are_the_callers_mistake(path: str, echo: Penstockd) -> None:
    """They are not UNKNOWN with the decoder's words, as gRPC would have it."""
    async with wire(echo.target) as client:
        ended = await client.ask(path, b"\xff\xff\xff")

    assert (ended.code, ended.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert ended.trailing["x-request-id"]


@BOTH
async def test_a_caller_without_a_deadline_gets_the_default_one(
    path: str, daemons: Daemons, upstream: Upstream
) -> None:
    """Nothing waits for ever."""
    upstream.answer_always(HANG)
    daemon = await daemons.start(models={"fast": openai(upstream)}, server={"default_timeout": "300ms"})

    async with wire(daemon.target) as client:
        ended = await client.ask(path, ProcessRequest(input="hi"), timeout=None)

    assert (ended.code, ended.reason) == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert 250 < (await daemon.line("call finished"))["duration_ms"] < 1000


@ALL_AT_ONE
async def test_a_call_that_only_looks_is_named_and_logged_as_well(echo: Penstockd) -> None:
    """Every method goes through the same telemetry."""
    async with wire(echo.target) as client:
        ended = await client.ask(LIST_MODELS, ListModelsRequest())

    assert ended.code == StatusCode.OK
    line = await echo.line("call finished", request_id=ended.initial["x-request-id"])
    assert (line["method"], line["code"]) == (LIST_MODELS, "OK")
