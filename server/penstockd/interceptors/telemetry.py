"""Sees every call and how it ended: its name, its span, its duration and its one line in the log."""

from collections.abc import Awaitable
from functools import lru_cache
from typing import NamedTuple

from opentelemetry.trace import Status, StatusCode

from penstockd import conventions as names
from penstockd import request_id
from penstockd.agent import Directory
from penstockd.call import Call, Handler, Q
from penstockd.clock import Clock
from penstockd.errors import PenstockError, Quota
from penstockd.logs.access_line import access_line
from penstockd.logs.log import Log
from penstockd.metrics.call_metrics import CallMetrics
from penstockd.metrics.instruments import Instruments
from penstockd.metrics.tally import Tally
from penstockd.request import Request
from penstockd.span import Attributes, Span
from penstockd.tracing import Trace, Tracing, ids_of

SERVER_FAULTS = {"DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE"}
"""The statuses that make a server span an error, by the rpc conventions; the others are the caller's affair."""

_NAMED = (Request, PenstockError)
"""What may have been given a name by its caller."""


class _Ending(NamedTuple):
    """The status code that a call ended with, why if that is not OK, and what denied it if it was denied."""

    code: str
    reason: str = ""
    quota: Quota | None = None


_WELL = _Ending("OK")


class Telemetry:
    """Names the call, measures it and says how it ended; refusals and cancels too."""

    def __init__(
        self, *, clock: Clock, log: Log, instruments: Instruments, tracing: Tracing, tally: Tally, agents: Directory
    ) -> None:
        """`tracing` decides which calls are traced; of a call that is refused, only one of `agents` is named."""
        self._tally = tally
        self._clock = clock
        self._log = log
        self._tracing = tracing
        self._agents = agents
        self._metrics = CallMetrics(instruments)

    def __call__(self, call: Call[Q], proceed: Handler[Q]) -> Awaitable[None]:
        """Proceed, and tell of the end whatever it is."""
        call.outcome.request_id = self._request_id(call)
        method = call.method.path[1:]
        caller = self._tracing.caller(call.metadata)
        trace = self._tracing.begin(method, caller, _attributes(method))
        if trace is not None or caller is not None:
            call.outcome.trace_ids = ids_of(trace, caller)
        return self._told_of(call, proceed) if trace is None else self._traced(trace, call, proceed)

    async def _traced(self, trace: Trace, call: Call[Q], proceed: Handler[Q]) -> None:
        with trace:
            await self._told_of(call, proceed, trace)

    async def _told_of(self, call: Call[Q], proceed: Handler[Q], trace: Trace | None = None) -> None:
        ending = _WELL
        try:
            await proceed(call)
        except BaseException as error:
            ending = self._ending(call, error)
            raise
        finally:
            self._tell(call, ending, trace)

    def _request_id(self, call: Call[Q]) -> str:
        request = call.request
        if isinstance(request, _NAMED) and request.request_id:
            return request.request_id
        for asked in call.metadata.values("x-request-id"):
            if request_id.is_valid(asked):
                return asked
        return request_id.generate(self._clock.wall())

    def _ending(self, call: Call[Q], error: BaseException) -> _Ending:
        """What `error` becomes at the edge."""
        told = call.outcome.told(error)
        if told is not None:
            return _Ending(told.code.name, told.reason, told.quota)
        gone = "DEADLINE_EXCEEDED" if self._clock.monotonic() >= call.expires_at else "CANCELLED"
        return _Ending(gone, gone)

    def _asked(self, call: Call[Q]) -> str:
        """The agent that a call is for, if there is one: a caller may ask for any text."""
        agent = self._agents.find(call.request.agent) if isinstance(call.request, Request) else None
        return "" if agent is None else agent.name

    def _tell(self, call: Call[Q], ending: _Ending, trace: Trace | None) -> None:
        code, reason, quota = ending
        duration = self._clock.monotonic() - call.started_at
        error_type = code if reason else ""
        self._metrics.ended(call, code=code, error_type=error_type, duration=duration)
        self._tally.ended(call, code, reason)
        if trace is not None:
            _mark(trace.span, call, code, reason)
        asked = self._asked(call) if reason else ""
        line = access_line(call, code=code, reason=reason, duration=duration, quota=quota, asked=asked)
        self._log.tell("call finished", line)


@lru_cache(maxsize=32)
def _attributes(method: str) -> Attributes:
    """What a method's spans say from the beginning."""
    return {names.RPC_SYSTEM_NAME: "grpc", names.RPC_METHOD: method}


def _mark(span: Span, call: Call[Q], code: str, reason: str) -> None:
    """Write on the span whose call it is and how it ended."""
    outcome = call.outcome
    attributes = {
        names.RPC_RESPONSE_STATUS_CODE: code,
        names.ERROR_TYPE: code if reason else "",
        names.PENSTOCK_REASON: reason,
        names.PENSTOCK_REQUEST_ID: outcome.request_id,
        names.PENSTOCK_CALL_ID: outcome.call_id,
        names.PENSTOCK_TENANT: call.tenant,
        names.GEN_AI_AGENT_NAME: outcome.agent,
        names.PENSTOCK_MODEL: outcome.model,
        names.PENSTOCK_CACHE_STATUS: outcome.cache if outcome.agent else "",
    }
    span.put({name: value for name, value in attributes.items() if value})
    if code in SERVER_FAULTS:
        span.set_status(Status(StatusCode.ERROR, reason))
