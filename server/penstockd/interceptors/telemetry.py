"""Sees every call and how it ended: its name, its span, its duration and its one line in the log."""

import asyncio
from contextlib import AbstractContextManager, nullcontext

from opentelemetry.propagate import extract
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, Tracer

from penstockd import conventions as names
from penstockd import request_id
from penstockd.call import Call, Handler, Q
from penstockd.clock import Clock
from penstockd.errors import Internal, PenstockError
from penstockd.instruments import Instruments
from penstockd.log import Log
from penstockd.request import Request

_SERVER_FAULTS = {"DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE"}
"""The statuses that make a server span an error, by the rpc conventions; the others are the caller's affair."""

_NO_SPAN: AbstractContextManager[Span] = nullcontext(INVALID_SPAN)


class Telemetry:
    """Names the call, measures it and says how it ended; refusals and cancels too."""

    def __init__(self, *, clock: Clock, log: Log, instruments: Instruments, tracer: Tracer | None) -> None:
        """Without a tracer no span objects are made at all."""
        self._clock = clock
        self._log = log
        self._tracer = tracer
        self._duration = instruments.histogram(
            names.RPC_SERVER_CALL_DURATION,
            unit="s",
            description="Duration of calls, from arrival to their end.",
            labels=(names.RPC_SYSTEM_NAME, names.RPC_METHOD, names.RPC_RESPONSE_STATUS_CODE, names.ERROR_TYPE),
            bounds=names.CALL_SECONDS,
        )

    async def __call__(self, call: Call[Q], proceed: Handler[Q]) -> None:
        """Proceed, and tell of the end whatever it is."""
        call.outcome.request_id = self._request_id(call)
        with self._span(call) as span:
            code, reason = "OK", ""
            try:
                await proceed(call)
            except BaseException as error:
                code, reason = self._ending(call, error)
                raise
            finally:
                self._tell(call, span, code, reason)

    def _request_id(self, call: Call[Q]) -> str:
        asked = call.request.request_id if isinstance(call.request, Request) else ""
        if not asked:
            asked = next(filter(request_id.is_valid, call.values("x-request-id")), "")
        return asked or request_id.generate(self._clock.wall())

    def _span(self, call: Call[Q]) -> AbstractContextManager[Span]:
        """The server span, which continues the caller's trace."""
        if self._tracer is None:
            return _NO_SPAN
        method = call.method.path.removeprefix("/")
        carrier = {key: value for key, value in call.metadata if isinstance(value, str)}
        return self._tracer.start_as_current_span(
            method,
            context=extract(carrier),
            kind=SpanKind.SERVER,
            attributes={names.RPC_SYSTEM_NAME: "grpc", names.RPC_METHOD: method},
            record_exception=False,
            set_status_on_exception=False,
        )

    def _ending(self, call: Call[Q], error: BaseException) -> tuple[str, str]:
        """The status code and reason that `error` becomes at the edge."""
        if isinstance(error, asyncio.CancelledError):
            error = call.outcome.cut or error
        if isinstance(error, PenstockError):
            return error.code.name, error.reason
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            gone = "DEADLINE_EXCEEDED" if self._clock.monotonic() >= call.expires_at else "CANCELLED"
            return gone, gone
        return Internal.code.name, Internal.reason

    def _tell(self, call: Call[Q], span: Span, code: str, reason: str) -> None:
        duration = self._clock.monotonic() - call.started_at
        error_type = code if reason else ""
        self._duration.of("grpc", call.method.path.removeprefix("/"), code, error_type).observe(duration)
        fields = _fields(call, code, reason, duration)
        if span.is_recording():
            _mark(span, call, code, reason)
            context = span.get_span_context()
            fields |= {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        self._log.info("call finished", **fields)


def _mark(span: Span, call: Call[Q], code: str, reason: str) -> None:
    """Write on the span whose call it is and how it ended."""
    span.set_attribute(names.RPC_RESPONSE_STATUS_CODE, code)
    span.set_attribute(names.PENSTOCK_REQUEST_ID, call.outcome.request_id)
    span.set_attribute(names.PENSTOCK_TENANT, call.tenant)
    if reason:
        span.set_attribute(names.ERROR_TYPE, code)
    if code in _SERVER_FAULTS:
        span.set_status(Status(StatusCode.ERROR, reason))


def _fields(call: Call[Q], code: str, reason: str, duration: float) -> dict[str, object]:
    """The access line: what is empty is left out."""
    outcome = call.outcome
    fields: dict[str, object] = {
        "request_id": outcome.request_id,
        "method": call.method.path,
        "code": code,
        "duration_ms": round(duration * 1000, 3),
        "peer": call.peer,
    }
    if reason:
        fields["reason"] = reason
    if outcome.principal is not None:
        fields["tenant"] = outcome.principal.tenant
        if outcome.principal.key:
            fields["key"] = outcome.principal.key
    if outcome.agent:
        fields["agent"] = outcome.agent
        fields["cache"] = outcome.cache.value
    if outcome.first_content_at is not None:
        fields["first_content_ms"] = round((outcome.first_content_at - call.started_at) * 1000, 3)
    if outcome.attempts:
        usage = outcome.usage
        fields |= {
            "model": outcome.model,
            "attempts": [{"model": attempt.model, "reason": attempt.reason} for attempt in outcome.attempts],
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "cost_nanousd": outcome.cost_nanousd,
        }
    return fields
