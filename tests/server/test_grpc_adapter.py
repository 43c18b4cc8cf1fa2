"""Every RPC becomes a call, and every ending of a call becomes one status."""

import asyncio
import time
from contextvars import Context, copy_context
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple, NoReturn, cast

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from fakes import virtual_time
from fakes.clock import FakeClock
from fakes.collector import alive, uncollected
from fakes.edge import ASK, Handle, edge, endpoints
from fakes.rpc import PROCESS, STREAM
from fakes.virtual_time import VirtualClock
from penstock.v1.agent_service_pb2 import ProcessRequest, ProcessResponse, ProcessStreamResponse
from penstockd import errors
from penstockd.call import Call, Completed, Delta, Handler
from penstockd.errors import (
    AccountingUnavailable,
    Draining,
    Internal,
    PenstockError,
    Quota,
    RateLimited,
    StreamBroken,
    Violation,
)
from penstockd.grpc_adapter import Adapter
from penstockd.logs.log import Log
from penstockd.outcome import Attempt, FinishReason
from penstockd.principal import Principal
from penstockd.request import Request
from penstockd.upstream import Broken

BOTH = pytest.mark.parametrize("path", [PROCESS, STREAM], ids=["unary", "stream"])
EVERY_ERROR = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PenstockError) and kind is not PenstockError
]
DONE = Completed(finish_reason=FinishReason.STOP)


class Quit(BaseException):
    """What a library might end its own work with."""


def raising(error: BaseException, *texts: str) -> Handle:
    """A handler that says `texts` and then fails."""

    async def handle(call: Call[Request]) -> None:
        for text in texts:
            await call.send(Delta(text))
        raise error

    return handle


async def answering(call: Call[Request]) -> None:
    """Say hello in two pieces."""
    call.outcome.model = "fast"
    await call.send(Delta("Hel"))
    await call.send(Delta("lo"))
    await call.send(DONE)


async def test_an_answer_that_is_on_its_way_is_not_cut() -> None:
    """It is whole and settled; gRPC could send no status either while the headers are going out."""

    async def answered(call: Call[Request]) -> None:
        await answering(call)
        asyncio.get_running_loop().call_soon(lambda: at.adapter.cut(Draining("going")))

    async with edge(answered) as at:
        ended = await at.wire.ask(PROCESS, ASK)

    assert (ended.code, ended.response(ProcessResponse).output) == (grpc.StatusCode.OK, "Hello")


async def test_an_answer_that_could_not_be_settled_sends_nothing_but_its_status() -> None:
    """Its headers go out once all of the call went well: early ones would commit the client."""

    async def unsettled(call: Call[Request]) -> None:
        await answering(call)
        raise AccountingUnavailable("not just now")

    async with edge(unsettled) as at:
        ended = await at.wire.ask(PROCESS, ASK)

    assert (ended.code, ended.initial) == (grpc.StatusCode.UNAVAILABLE, {})
    assert ended.trailing["x-request-id"] == "r1"


async def test_a_unary_answer_is_folded() -> None:
    """One message; x-request-id comes before it."""
    async with edge(answering) as at:
        ended = await at.wire.ask(PROCESS, ASK)

    assert ended.code is grpc.StatusCode.OK
    response = ended.response(ProcessResponse)
    assert (response.output, response.request_id, response.model_used) == ("Hello", "r1", "fast")
    assert ended.initial["x-request-id"] == "r1"
    assert at.adapter.in_flight == 0


async def test_a_streamed_answer_opens_and_closes() -> None:
    """Started with the first delta, and one completed, last."""
    async with edge(answering) as at:
        ended = await at.wire.ask(STREAM, ASK)

    events = [ProcessStreamResponse.FromString(message) for message in ended.messages]
    assert [event.WhichOneof("event") for event in events] == ["started", "delta", "delta", "completed"]
    assert "".join(event.delta.text for event in events) == "Hello"
    assert events[-1].completed.response.output == ""
    assert ended.initial["x-request-id"] == "r1"


@BOTH
async def test_the_first_content_is_timed_whoever_gives_it(path: str) -> None:
    """A kept answer and one that another call asked for have no attempt that would time it."""
    outcomes = []

    async def handle(call: Call[Request]) -> None:
        outcomes.append(call.outcome)
        assert call.outcome.first_content_at is None
        await answering(call)

    async with edge(handle) as at:
        await at.wire.ask(path, ASK)

    (outcome,) = outcomes
    assert outcome.first_content_at is not None


@BOTH
@pytest.mark.parametrize(
    ("costs", "told"), [((), "0"), ((638, 2), "640"), ((638, None), None)], ids=["joined", "paid", "price unknown"]
)
async def test_what_an_answer_cost_comes_last(path: str, costs: tuple[int | None, ...], told: str | None) -> None:
    """In trailing metadata, over all attempts; unless a price is not known."""

    async def paid(call: Call[Request]) -> None:
        call.outcome.attempts += [Attempt(model="fast", started_at=0.0, cost_nanousd=cost) for cost in costs]
        await answering(call)

    async with edge(paid) as at:
        ended = await at.wire.ask(path, ASK)

    assert ended.code is grpc.StatusCode.OK
    assert ended.trailing.get("penstock-cost-nanousd") == told


@BOTH
@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
async def test_every_error_of_ours_becomes_its_status(path: str, kind: type[PenstockError]) -> None:
    """Its code and message, one ErrorInfo with its reason, and the request's id, before anything was sent."""
    async with edge(raising(kind("what happened", metadata={"k": "v"}))) as at:
        ended = await at.wire.ask(path, ASK)

    info = ended.detail(ErrorInfo)
    assert ended.code.value[0] == kind.code
    assert ended.message == "what happened"
    assert (info.reason, info.domain, dict(info.metadata)) == (kind.reason, "penstock.dev", {"k": "v"})
    assert ended.detail(RequestInfo).request_id == "r1"
    assert ended.trailing["x-request-id"] == "r1"
    assert ended.initial == {}
    assert ended.messages == []


@BOTH
async def test_a_refusal_tells_when_to_come_back_and_what_was_met(path: str) -> None:
    """RetryInfo, pushback and quota, each where clients look for it."""
    refusal = RateLimited("slow down", retry_after=1.5, quota=Quota("user:acme/u1", "60/m requests"))

    async with edge(raising(refusal)) as at:
        ended = await at.wire.ask(path, ASK)

    delay = ended.detail(RetryInfo).retry_delay
    assert (delay.seconds, delay.nanos) == (1, 500_000_000)
    assert ended.trailing["grpc-retry-pushback-ms"] == "1500"
    (violation,) = ended.detail(QuotaFailure).violations
    assert (violation.subject, violation.description) == ("user:acme/u1", "60/m requests")


@BOTH
@pytest.mark.parametrize(
    "message",
    ["x" * 100_000, "€" * 100_000, "\U0001f600" * 100_000, "line\r\nbreak\0", "half \ud83d"],
    ids=["long", "euros", "smileys", "control", "surrogate"],
)
async def test_no_message_breaks_its_status(path: str, message: str) -> None:
    """It is cut by bytes, the same in both places where clients read it, and pushes no detail out."""
    async with edge(raising(Internal(message, retry_after=1.0))) as at:
        ended = await at.wire.ask(path, ASK)

    details = ended.trailing["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    assert len(details) <= 4096
    assert ended.message == Status.FromString(details).message
    assert ended.message[:4] == message[:4]
    assert ended.detail(ErrorInfo).reason == "INTERNAL"
    assert ended.detail(RetryInfo).retry_delay.seconds == 1


@BOTH
@pytest.mark.parametrize("delay", [1e10, 1e300, 10**400, float("inf"), float("nan")])
async def test_no_delay_breaks_its_status(path: str, delay: float) -> None:
    """What is longer than anybody waits, or no number, is told as a month."""
    async with edge(raising(RateLimited("slow down", retry_after=delay))) as at:
        ended = await at.wire.ask(path, ASK)

    assert ended.reason == "RATE_LIMITED"
    assert ended.detail(RetryInfo).retry_delay.seconds == 31 * 86400
    assert ended.trailing["grpc-retry-pushback-ms"] == str(31 * 86400 * 1000)


async def test_details_that_do_not_fit_are_left_out_from_the_end() -> None:
    """What a client acts on stays."""
    violations = [Violation("labels", "x" * 1000) for _ in range(20)]

    async with edge(raising(errors.InvalidRequest("bad", violations=violations))) as at:
        ended = await at.wire.ask(PROCESS, ASK)

    assert ended.detail(ErrorInfo).reason == "INVALID_REQUEST"
    assert ended.detail(RequestInfo).request_id == "r1"
    details = ended.trailing["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    kinds = [detail.TypeName() for detail in Status.FromString(details).details]
    assert kinds == ["google.rpc.ErrorInfo", "google.rpc.RequestInfo"]


@BOTH
@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        ExceptionGroup("secret", [ValueError("secret")]),
        BaseExceptionGroup("secret", [asyncio.CancelledError("secret")]),
        Broken("secret"),
        TimeoutError("secret"),
        Quit("secret"),
        SystemExit("secret"),
        errors.InvalidRequest(ValueError("secret")),  # type: ignore[arg-type]
        errors.InvalidRequest("secret", metadata={"secret": 7}),  # type: ignore[dict-item]
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_unforeseen_stays_in_the_log(
    path: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """INTERNAL, without a word of what was said; the log has all of it, and the request's id.

    So is an error of ours that cannot be told.
    """
    async with edge(raising(error)) as at:
        ended = await at.wire.ask(path, ASK)

    assert ended.code is grpc.StatusCode.INTERNAL
    assert ended.reason == "INTERNAL"
    assert "secret" not in repr(ended)
    (record,) = [each for each in caplog.records if each.name == "test"]
    assert record.__dict__["fields"] == {"request_id": "r1"}
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_whose_call_failed_unforeseen_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """As far as it got: an operator asks first whom it hits."""

    async def fail(call: Call[Request]) -> None:
        call.outcome.agent, call.outcome.principal = "support", Principal(tenant="acme", key="web")
        call.outcome.trace_ids = {"trace_id": "t1"}
        raise ValueError

    async with edge(fail) as at:
        await at.wire.ask(PROCESS, ASK)

    (record,) = [each for each in caplog.records if each.name == "test"]
    assert record.__dict__["fields"] == {
        "request_id": "r1",
        "trace_id": "t1",
        "agent": "support",
        "tenant": "acme",
    }


@BOTH
async def test_an_inner_cancellation_is_a_status_at_once(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """gRPC alone would let the client hang; the log has what was cancelled."""
    error = asyncio.CancelledError()
    async with edge(raising(error)) as at:
        started = time.monotonic()
        ended = await at.wire.ask(path, ASK)

    assert ended.code is grpc.StatusCode.INTERNAL
    assert ended.reason == "INTERNAL"
    assert time.monotonic() - started < 5.0
    (record,) = [each for each in caplog.records if each.name == "test"]
    assert record.__dict__["fields"] == {"request_id": "r1"}
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@BOTH
@pytest.mark.parametrize("texts", [(), ("half",)])
async def test_an_answer_without_its_end_is_no_success(path: str, texts: tuple[str, ...]) -> None:
    """A handler that returns early has not answered."""

    async def forgets(call: Call[Request]) -> None:
        for text in texts:
            await call.send(Delta(text))

    async with edge(forgets) as at:
        ended = await at.wire.ask(path, ASK)

    assert ended.code is grpc.StatusCode.INTERNAL


async def test_a_stream_that_breaks_has_sent_what_it_sent() -> None:
    """The text, then the status."""
    async with edge(raising(StreamBroken("broke", metadata={"partial": "true"}), "half")) as at:
        ended = await at.wire.ask(STREAM, ASK)

    assert ended.code is grpc.StatusCode.UNAVAILABLE
    assert [ProcessStreamResponse.FromString(each).WhichOneof("event") for each in ended.messages] == [
        "started",
        "delta",
    ]
    assert dict(ended.detail(ErrorInfo).metadata) == {"partial": "true"}


@BOTH
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x08"])
async def test_bytes_that_are_no_request_are_refused(path: str, data: bytes) -> None:
    """INVALID_ARGUMENT, by way of the chain for refusals."""
    async with edge(answering) as at:
        ended = await at.wire.ask(path, data)

    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
    assert ended.reason == "INVALID_REQUEST"


@BOTH
async def test_a_bad_field_is_named(path: str) -> None:
    """In a BadRequest."""
    async with edge(answering) as at:
        ended = await at.wire.ask(path, b"")

    (violation,) = ended.detail(BadRequest).field_violations
    assert violation.field == "input"


async def test_a_call_knows_its_caller() -> None:
    """Metadata, peer and the deadline in monotonic seconds, counted once at the start."""
    seen: list[Call[Request]] = []

    async def look(call: Call[Request]) -> None:
        seen.append(call)
        await call.send(DONE)

    async with edge(look) as at:
        await at.wire.ask(PROCESS, ASK, metadata=(("k", "v"), ("k", "w"), ("k-bin", b"\0")), timeout=10.0)
        await at.wire.ask(PROCESS, ASK, timeout=None)

    with_deadline, without = seen
    assert with_deadline.metadata.values("k") == ["v", "w"]
    assert with_deadline.metadata.values("k-bin") == ["\0"]
    assert with_deadline.peer.startswith("ipv4:127.0.0.1:")
    assert with_deadline.expires_at - with_deadline.started_at == pytest.approx(10.0, abs=2.0)
    assert without.expires_at == float("inf")
    assert with_deadline.method.path == PROCESS


async def test_no_credential_is_left_in_the_context() -> None:
    """Which whatever is opened for the call keeps for as long as it lives: a connection to a provider, for one."""
    contexts: list[Context] = []

    async def keep(call: Call[Request]) -> None:
        contexts.append(copy_context())
        await call.send(DONE)

    async with edge(keep) as at:
        await at.wire.ask(PROCESS, ASK, metadata=(("authorization", "Bearer secret"),))

    (context,) = contexts
    assert "secret" not in repr([value for variable, value in context.items() if variable.name == "entries"])


@BOTH
@pytest.mark.parametrize("error", [None, errors.Unauthenticated])
async def test_a_call_that_has_ended_is_freed_without_a_collection(
    path: str, error: type[BaseException] | None
) -> None:
    """And gRPC's own part of it, which is kept by whatever holds on to the call."""
    mine = f"{path} {error}"

    async def handle(call: Call[Request]) -> None:
        await (answering(call) if error is None else raising(error(), "a")(call))

    with uncollected():
        async with edge(handle) as at:
            for _ in range(5):
                await at.wire.ask(path, ProcessRequest(input=mine))
            await at.adapter.idle()
            await asyncio.sleep(0.05)

            assert alive(Call, lambda call: getattr(call.request, "input", "") == mine) == []


class Frozen(Exception):
    """An agent's own, of which nothing can be changed."""

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError(name)


async def test_what_is_an_agents_own_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Another call may be raising it."""
    error = Frozen()

    async with edge(raising(error)) as at:
        await at.wire.ask(PROCESS, ASK)
        await at.adapter.idle()
        await asyncio.sleep(0.05)

    assert error.__traceback__ is not None
    assert [record.name for record in caplog.records] == ["test"]


@BOTH
async def test_an_edge_that_cannot_be_made_is_unforeseen(path: str) -> None:
    """As is whatever else fails on the way, its text is in no reply."""

    def broken(_outcome: object, _started_at: float) -> NoReturn:
        raise ValueError("secret")

    async with edge(raising(AssertionError())) as at:
        at.adapter.serve(
            [replace(endpoint, edge=broken) for endpoint in endpoints(raising(AssertionError()), at.clock)]
        )
        ended = await at.wire.ask(path, ASK)

    assert ended.code is grpc.StatusCode.INTERNAL
    assert "secret" not in ended.message


@BOTH
async def test_a_clients_cancel_reaches_the_handler(path: str) -> None:
    """It is cancelled, and the adapter is idle again."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(call: Call[Request]) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with edge(hang) as at:
        call = asyncio.ensure_future(at.wire.ask(path, ASK))
        await started.wait()
        assert at.adapter.in_flight == 1
        call.cancel()
        await ended.wait()
        await at.adapter.idle()

    assert at.adapter.in_flight == 0


def wrapping() -> tuple[Handler[Request], asyncio.Event]:
    """A handler that makes an error of its own of being cancelled, and what is set once it has begun."""
    started = asyncio.Event()

    async def wraps(call: Call[Request]) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise ConnectionError("wrapped") from error

    return wraps, started


@BOTH
async def test_a_client_that_has_left_is_gone_whatever_the_handler_makes_of_it(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises, such as that there is nobody to answer, is no failure of ours."""
    wraps, started = wrapping()

    async with edge(wraps) as at:
        call = asyncio.ensure_future(at.wire.ask(path, ASK))
        await started.wait()
        call.cancel()
        await at.adapter.idle()

    assert [record for record in caplog.records if record.name == "test"] == []


@BOTH
async def test_a_cut_call_is_told_why_whatever_the_handler_makes_of_it(path: str) -> None:
    """Its caller is there, and waits."""
    wraps, started = wrapping()

    async with edge(wraps) as at:
        asked = asyncio.ensure_future(at.wire.ask(path, ASK))
        await started.wait()
        at.adapter.cut(Draining("going away", retry_after=0.1))
        ended = await asked

    assert (ended.code, ended.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")


@BOTH
async def test_a_cut_call_is_told_why(path: str) -> None:
    """Each call in flight ends with the error it was cut with, after its cleanup."""
    cleaned: list[bool] = []

    async def hang(call: Call[Request]) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    started = asyncio.Event()
    async with edge(hang) as at:
        asked = asyncio.ensure_future(at.wire.ask(path, ASK))
        await started.wait()
        at.adapter.cut(Draining("going away", retry_after=0.1))
        ended = await asked

    assert ended.code is grpc.StatusCode.UNAVAILABLE
    assert ended.reason == "DRAINING"
    assert cleaned == [True]


class ServicerContext:
    """What a handler is given by gRPC; where the reader stalls, it takes nothing, a status neither.

    Where it is gone a write fails, and the call is cancelled some seconds later; `left` is one that goes before the
    status can be sent.
    """

    def __init__(
        self, *, stalls: bool = False, cancels_after: float | None = None, left: bool = False, early: bool = False
    ) -> None:
        """Whatever is wrong with the reader is so from the headers on if it is `early`, else from the first message."""
        self.aborted: list[str] = []
        self._stalls = stalls
        self._left = left
        self._cancels_after = cancels_after
        self._early = early

    def time_remaining(self) -> float | None:
        return None

    def peer(self) -> str:
        return "unix:"

    async def send_initial_metadata(self, metadata: object) -> None:
        if self._early:
            await self.write(b"")

    def set_trailing_metadata(self, metadata: object) -> None:
        """Take what comes last."""

    async def write(self, message: bytes) -> None:
        if self._stalls:
            await asyncio.Event().wait()
        if self._cancels_after is not None:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(self._cancels_after, task.cancel)
            raise grpc.aio.InternalError("Failed execute_batch")

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: object) -> None:
        self.aborted.append(details)
        if self._left:
            raise grpc.aio.InternalError("Failed execute_batch")
        await asyncio.Event().wait()


def served(handle: Handle, clock: VirtualClock, context: ServicerContext, path: str = STREAM) -> Adapter:
    """Run one RPC to its end while stalled readers are looked for."""
    adapter = Adapter(clock=clock, log=Log("test"))
    adapter.serve(endpoints(handle, clock))

    async def main() -> None:
        sweeping = asyncio.ensure_future(adapter.cut_stalled_readers())
        handler: Any = adapter.service(cast("grpc.HandlerCallDetails", Details(path)))
        run = handler.unary_stream or handler.unary_unary
        call: asyncio.Task[object] = asyncio.ensure_future(run(ASK.SerializeToString(), context))
        await asyncio.wait([call])
        assert call.cancelled() or call.exception() is None
        sweeping.cancel()

    virtual_time.run(clock, main())
    return adapter


@pytest.mark.parametrize(("path", "since"), [(STREAM, {}), (STREAM, {"early": True}), (PROCESS, {"early": True})])
def test_a_reader_that_takes_nothing_is_cut(path: str, since: dict[str, bool]) -> None:
    """After 30 s in one write its call ends, and 2 s later even if the status does not reach it."""
    clock, context = VirtualClock(), ServicerContext(stalls=True, **since)

    adapter = served(answering, clock, context, path)

    assert context.aborted == ["the reader took nothing for 30 s"]
    assert 32.0 <= clock.monotonic() - 1000.0 <= 34.0
    assert adapter.in_flight == 0


def test_a_stalled_readers_call_that_ends_by_itself_is_over_2_s_later() -> None:
    """Whether or not its status has reached it; it ended for another reason than that."""
    clock, context = VirtualClock(), ServicerContext(stalls=True)

    async def out_of_time(call: Call[Request]) -> None:
        try:
            async with asyncio.timeout(29.5):
                await answering(call)
        except TimeoutError as error:
            raise StreamBroken("out of time") from error

    adapter = served(out_of_time, clock, context)

    assert context.aborted == ["out of time"]
    assert clock.monotonic() == pytest.approx(1031.5)
    assert (adapter.stalls, adapter.in_flight) == (0, 0)


def test_a_reader_who_left_is_told_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """And what gRPC makes of that is nobody's to look into."""
    clock, context = VirtualClock(), ServicerContext(left=True)

    adapter = served(raising(StreamBroken("the model is gone")), clock, context)

    assert context.aborted == ["the model is gone"]
    assert (caplog.records, adapter.in_flight) == ([], 0)


async def test_a_call_is_unsent_until_grpc_has_sent_the_end_of_it() -> None:
    """Which is when the task ends in which gRPC runs the handler."""
    clock, sent = FakeClock(), asyncio.Event()
    adapter = Adapter(clock=clock, log=Log("test"))
    adapter.serve(endpoints(answering, clock))
    handler: Any = adapter.service(cast("grpc.HandlerCallDetails", Details(PROCESS)))
    answered = asyncio.Event()

    async def rpc() -> None:
        await handler.unary_unary(ASK.SerializeToString(), ServicerContext())
        answered.set()
        await sent.wait()

    running, idle = asyncio.ensure_future(rpc()), asyncio.ensure_future(adapter.idle())
    await answered.wait()
    assert (adapter.in_flight, adapter.unsent, idle.done(), adapter.since_sent) == (0, 1, False, inf)

    sent.set()
    await running
    await idle
    clock.advance(3.0)
    assert (adapter.unsent, adapter.since_sent) == (0, 3.0)


def test_a_reader_is_not_cut_while_the_model_thinks() -> None:
    """Between writes nobody stalls, however long it takes."""
    clock, context = VirtualClock(), ServicerContext()

    async def think(call: Call[Request]) -> None:
        for _ in range(3):
            await call.send(Delta("hm"))
            await clock.sleep(100.0)
        await call.send(DONE)

    served(think, clock, context)

    assert context.aborted == []
    assert clock.monotonic() == pytest.approx(1300.0)


def test_a_write_that_fails_for_want_of_a_reader_is_a_cancel(caplog: pytest.LogCaptureFixture) -> None:
    """As the handler sees it; gRPC says that the caller is gone a moment after its write."""
    clock, context, seen = VirtualClock(), ServicerContext(cancels_after=0.1), []

    async def notes(call: Call[Request]) -> None:
        try:
            await answering(call)
        except BaseException as error:
            seen.append(type(error))
            raise

    adapter = served(notes, clock, context)

    assert seen == [asyncio.CancelledError]
    assert (context.aborted, caplog.records, adapter.in_flight) == ([], [], 0)


def test_headers_that_find_no_reader_are_a_cancel(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is told of a failure, as there was none."""
    clock, context = VirtualClock(), ServicerContext(cancels_after=0.1, early=True)

    adapter = served(answering, clock, context, PROCESS)

    assert (context.aborted, caplog.records, adapter.in_flight) == ([], [], 0)


def test_a_write_that_fails_for_any_other_reason_is_unforeseen(caplog: pytest.LogCaptureFixture) -> None:
    """No cancel comes, and the failure is told."""
    clock, context = VirtualClock(), ServicerContext(cancels_after=60.0)

    served(answering, clock, context)

    assert len(context.aborted) == 1
    assert [record.getMessage() for record in caplog.records] == ["a call failed unforeseen"]


async def test_what_is_not_ours_passes() -> None:
    """A method nobody knows is gRPC's to answer."""
    async with edge(answering) as at:
        ended = await at.wire.ask("/penstock.v1.AgentService/Nothing", b"")

    assert ended.code is grpc.StatusCode.UNIMPLEMENTED


async def test_new_endpoints_serve_from_now_on() -> None:
    """A call in flight keeps the handler it came by."""
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(call: Call[Request]) -> None:
        started.set()
        await release.wait()
        await call.send(Delta("old"))
        await call.send(DONE)

    async with edge(slow) as at:
        old = asyncio.ensure_future(at.wire.ask(PROCESS, ASK))
        await started.wait()
        at.adapter.serve([])
        gone = await at.wire.ask(PROCESS, ASK)
        release.set()

        assert (await old).response(ProcessResponse).output == "old"
    assert gone.code is grpc.StatusCode.UNIMPLEMENTED


class Details(NamedTuple):
    """As much of what gRPC says of an RPC before its handler is chosen as is read."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()
