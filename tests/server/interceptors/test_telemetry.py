"""Every call is named, measured and told of once, however it ends."""

import asyncio
from functools import partial
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from fakes.caching import KeptAgent
from fakes.calls import REQUEST, STREAM, Inner, a_call, ending
from fakes.clock import FakeClock
from fakes.loop import settled
from fakes.telescope import Telescope
from penstockd import request_id
from penstockd.agent import Directory
from penstockd.call import Call, Handler
from penstockd.errors import Draining, InvalidRequest, ModelsUnavailable, PenstockError, Quota, RateLimited
from penstockd.interceptors.telemetry import Telemetry
from penstockd.logs.log import Log
from penstockd.metrics.tally import Tally
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.request import Request
from penstockd.tracing import Tracing

DURATION = "rpc.server.call.duration"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Scene:
    """Telemetry around a handler, and everything it says."""

    def __init__(self, caplog: pytest.LogCaptureFixture, *, traces: bool = False) -> None:
        self.clock = FakeClock(1000.0)
        self.telescope = Telescope()
        self.tally = Tally(TenantLabels())
        tracing = self.telescope.tracing() if traces else Tracing()
        self._telemetry = Telemetry(
            clock=self.clock,
            log=Log("test"),
            instruments=self.telescope.instruments,
            tracing=tracing,
            tally=self.tally,
            agents=Directory([KeptAgent(name="support")], default="support"),
        )
        self._caplog = caplog
        caplog.set_level("INFO")

    async def see(self, call: Call[Any], handler: Handler[Any]) -> BaseException | None:
        """Handle `call` and return the error that ended it."""
        return await ending(call, partial(self._telemetry, proceed=handler))

    @property
    def line(self) -> dict[str, object]:
        """The fields of the one line that was logged."""
        (record,) = self._caplog.records
        assert record.getMessage() == "call finished"
        fields: dict[str, object] = record.__dict__["fields"]
        return fields


@pytest.fixture
def scene(caplog: pytest.LogCaptureFixture) -> Scene:
    """Telemetry without traces."""
    return Scene(caplog)


async def test_a_call_leaves_one_line(scene: Scene) -> None:
    """Under its name, with how it ended and how long it took."""

    async def answer(_: Call[Request]) -> None:
        scene.clock.advance(1.5)

    await scene.see(a_call(Request(agent="", input="x", request_id="mine")), answer)

    assert (scene.line["request_id"], scene.line["code"], scene.line["duration_ms"]) == ("mine", "OK", 1500.0)


@pytest.mark.parametrize(
    ("asked", "metadata", "named"),
    [
        ("mine", (("x-request-id", "theirs"),), "mine"),
        ("", (("x-request-id", "theirs"),), "theirs"),
        ("", (("x-request-id", "bad name"), ("x-request-id", "good")), "good"),
    ],
)
async def test_a_call_keeps_its_callers_name(
    scene: Scene, asked: str, metadata: tuple[tuple[str, str], ...], named: str
) -> None:
    """The request's own, else the metadata's first that is valid."""
    call = a_call(Request(agent="", input="x", request_id=asked), metadata=metadata)

    await scene.see(call, Inner())

    assert call.outcome.request_id == named


@pytest.mark.parametrize(("asked", "named"), [("mine", "mine"), ("", "theirs")])
async def test_a_call_that_is_refused_unread_keeps_its_callers_name_too(scene: Scene, asked: str, named: str) -> None:
    """As far as that could be read."""
    refusal = InvalidRequest("bad", request_id=asked)
    call = a_call(refusal, metadata=(("x-request-id", "theirs"),))

    await scene.see(call, Inner(refusal))

    assert call.outcome.request_id == scene.line["request_id"] == named


@pytest.mark.parametrize("metadata", [(), (("x-request-id", "bad name"),), (("x-request-id", "ä" * 10),)])
async def test_a_nameless_call_is_given_a_name(scene: Scene, metadata: tuple[tuple[str, str], ...]) -> None:
    """A UUIDv7 of the time of day."""
    call = a_call(REQUEST, metadata=metadata)

    await scene.see(call, Inner())

    assert request_id.is_valid(call.outcome.request_id)
    milliseconds = int(call.outcome.request_id.replace("-", "")[:12], 16)
    assert milliseconds == int(scene.clock.wall() * 1000)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (RateLimited("slow down"), "RESOURCE_EXHAUSTED", "RATE_LIMITED"),
        (ModelsUnavailable("all open"), "UNAVAILABLE", "MODELS_UNAVAILABLE"),
        (ValueError("secret"), "INTERNAL", "INTERNAL"),
        (asyncio.CancelledError(), "INTERNAL", "INTERNAL"),
        (PenstockError("of no code"), "INTERNAL", "INTERNAL"),
        (InvalidRequest(ValueError("secret")), "INTERNAL", "INTERNAL"),  # type: ignore[arg-type]
    ],
    ids=repr,
)
async def test_an_error_is_told_as_the_status_it_becomes(
    scene: Scene, error: BaseException, code: str, reason: str
) -> None:
    """A cancellation that nobody asked for is internal, and so is what cannot be told; the error itself passes."""
    ended = await scene.see(a_call(REQUEST), Inner(error))

    assert type(ended) is type(error)
    assert (scene.line["code"], scene.line["reason"]) == (code, reason)
    ((attributes, _),) = scene.telescope.points(DURATION)
    assert attributes["rpc.response.status_code"] == attributes["error.type"] == code
    assert scene.tally.ended_by == {("", code, reason): 1}


async def test_whom_a_limit_denied_is_told_and_by_which_rule(scene: Scene) -> None:
    """And which agent was asked, though none was reached."""
    denied = RateLimited("slow down", quota=Quota("user:acme/u1", "60/m requests"))

    await scene.see(a_call(Request(agent="support", input="x")), Inner(denied))

    line = scene.line
    assert (line["rule"], line["subject"], line["agent"]) == ("60/m requests", "user:acme/u1", "support")


@pytest.mark.parametrize(
    "request_", [Request(agent="supp\n0rt", input="x"), InvalidRequest("bad")], ids=["unknown", "unread"]
)
async def test_an_agent_that_there_is_not_is_no_name_for_the_log(scene: Scene, request_: object) -> None:
    """A caller may ask for any text."""
    await scene.see(a_call(request_), Inner(Draining("going")))

    assert "agent" not in scene.line


@pytest.mark.parametrize(
    ("after", "code"), [(5.0, "CANCELLED"), (20.0, "DEADLINE_EXCEEDED"), (30.0, "DEADLINE_EXCEEDED")]
)
async def test_a_callers_cancel_is_told_from_its_deadline(scene: Scene, after: float, code: str) -> None:
    """Both arrive as one cancellation; the time tells them apart."""
    call = a_call(REQUEST, expires_at=1020.0)
    task = asyncio.ensure_future(scene.see(call, Inner(forever)))
    await settled()
    scene.clock.advance(after)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (scene.line["code"], scene.line["reason"]) == (code, code)


@pytest.mark.parametrize(("after", "code"), [(5.0, "CANCELLED"), (20.0, "DEADLINE_EXCEEDED")])
async def test_a_caller_that_has_left_is_gone_whatever_is_made_of_it(scene: Scene, after: float, code: str) -> None:
    """What is raised in the place of the cancellation is no failure of ours."""

    async def wraps(_: Call[Request]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise ConnectionError("wrapped") from error

    task = asyncio.ensure_future(scene.see(a_call(REQUEST, expires_at=1020.0), wraps))
    await settled()
    scene.clock.advance(after)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settled()

    assert (scene.line["code"], scene.line["reason"]) == (code, code)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ConnectionError("wrapped")], ids=repr)
async def test_a_cut_call_is_told_by_what_its_caller_is_told(scene: Scene, error: BaseException) -> None:
    """The daemon cancels the task itself then; the outcome says why."""
    call = a_call(REQUEST)
    call.outcome.cut = Draining("going away")

    await scene.see(call, Inner(error))

    assert (scene.line["code"], scene.line["reason"]) == ("UNAVAILABLE", "DRAINING")


async def test_calls_are_measured_by_method_and_code(scene: Scene) -> None:
    """In seconds, from the call's arrival, without any name of a request in the labels."""

    async def slow(_: Call[Request]) -> None:
        scene.clock.advance(2.0)

    await scene.see(a_call(REQUEST, method=STREAM), slow)

    assert scene.telescope.points(DURATION) == [
        (
            {
                "rpc.system.name": "grpc",
                "rpc.method": "penstock.v1.AgentService/ProcessStream",
                "rpc.response.status_code": "OK",
            },
            2.0,
        )
    ]


async def test_without_a_tracer_there_are_no_spans(scene: Scene) -> None:
    """The line has no trace then."""
    await scene.see(a_call(REQUEST), Inner())

    assert scene.telescope.spans == ()
    assert "trace_id" not in scene.line


async def test_a_line_names_its_callers_trace_though_it_is_not_sampled_here(scene: Scene) -> None:
    """It may be sampled there; there is no span of ours to name."""
    await scene.see(a_call(REQUEST, metadata=(("traceparent", PARENT),)), Inner())

    assert scene.telescope.spans == ()
    assert scene.line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert "span_id" not in scene.line


async def test_inner_layers_know_by_what_the_log_finds_the_trace(caplog: pytest.LogCaptureFixture) -> None:
    """So that each of their lines leads to it."""
    scene, known = Scene(caplog, traces=True), dict[str, str]()

    async def answer(call: Call[Request]) -> None:
        known.update(call.outcome.log_fields)

    await scene.see(a_call(Request(agent="", input="x", request_id="mine")), answer)

    assert known == {name: scene.line[name] for name in ("request_id", "trace_id", "span_id")}


async def test_a_span_continues_the_callers_trace(caplog: pytest.LogCaptureFixture) -> None:
    """A server span under `traceparent`; line and span name each other."""
    scene = Scene(caplog, traces=True)

    await scene.see(a_call(REQUEST, metadata=(("traceparent", PARENT), ("x-bin", b"\0"))), Inner())

    (span,) = scene.telescope.spans
    assert span.name == "penstock.v1.AgentService/Process"
    assert span.kind is SpanKind.SERVER
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert scene.line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert span.context is not None
    assert scene.line["span_id"] == f"{span.context.span_id:016x}"
    assert span.attributes is not None
    assert span.attributes["penstock.request_id"] == scene.line["request_id"]
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModelsUnavailable("all open"), StatusCode.ERROR),
        (ValueError("secret"), StatusCode.ERROR),
        (RateLimited("slow down"), StatusCode.UNSET),
    ],
    ids=repr,
)
async def test_a_span_is_an_error_where_the_server_is_to_blame(
    caplog: pytest.LogCaptureFixture, error: Exception, status: StatusCode
) -> None:
    """As the rpc conventions have it; and no span repeats what an exception said."""
    scene = Scene(caplog, traces=True)

    await scene.see(a_call(REQUEST), Inner(error))

    (span,) = scene.telescope.spans
    assert span.status.status_code is status
    assert span.events == ()
    assert "secret" not in span.to_json()


async def forever(_: Call[Request]) -> None:
    """Never end."""
    await asyncio.Event().wait()
