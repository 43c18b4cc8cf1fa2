"""The spans of sampled calls; of a call that is not sampled no span is ever made, as even an empty one costs."""

from asyncio import CancelledError
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from penstockd import conventions as names
from penstockd.errors import PenstockError
from penstockd.metadata import Metadata
from penstockd.span import Attributes, Span, Tracer, new_id
from penstockd.upstream import UpstreamFailure

_present: ContextVar["Trace | None"] = ContextVar("trace", default=None)


present: Callable[[], "Trace | None"] = _present.get
"""The trace of the call that is being handled, also by work that goes on behind it; None if it is not sampled."""


class Within:
    """A `with` block in which `span` is the current one; no error is written on it, as it may repeat a prompt."""

    __slots__ = ("_before", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._before = attach(set_span_in_context(self._span))

    def __exit__(self, *_: object) -> None:
        detach(self._before)


class Trace:
    """The trace of one sampled call, whose server span lasts as long as the `with` block.

    `captures_content` is whether the operator wants prompts and outputs on spans.
    """

    __slots__ = ("_entered", "_tracer", "_within", "captures_content", "span")

    def __init__(self, span: Span, tracer: Tracer, *, captures_content: bool) -> None:
        """Take the server span, which has begun, and what makes the spans within it."""
        self.captures_content = captures_content
        self.span = span
        self._tracer = tracer
        self._within = Within(span)
        self._entered: Token[Trace | None]

    def __enter__(self) -> Self:
        self._entered = _present.set(self)
        self._within.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._within.__exit__(kind, error, traceback)
        self.span.end()
        _present.reset(self._entered)

    def note(self, event: str, attributes: Attributes) -> None:
        """Say on the server span what happened just now, unless its caller is gone."""
        if self.span.is_recording():
            self.span.note(event, attributes)

    def begin(self, name: str, kind: SpanKind, attributes: Attributes) -> Span:
        """Begin a span within the one that is current; within the server's, should an agent have left none."""
        parent = get_current_span().get_span_context()
        if not parent.is_valid:
            parent = self.span.get_span_context()
        return self._tracer.begin(
            name, kind, attributes, trace_id=parent.trace_id, parent=parent, state=parent.trace_state
        )


def fail(span: Span, error: BaseException) -> None:
    """Write down why what `span` shows has failed; that somebody ended it is no error of its own."""
    if isinstance(error, CancelledError):
        span.put({names.PENSTOCK_REASON: names.CANCELLED})
        return
    reason = error.reason if isinstance(error, UpstreamFailure | PenstockError) else type(error).__name__
    span.put({names.ERROR_TYPE: reason})
    span.set_status(Status(StatusCode.ERROR, reason))


class Tracing:
    """Decides once, as a call arrives, whether it is traced."""

    def __init__(
        self,
        tracer: Tracer | None = None,
        *,
        sampler: Sampler = ALWAYS_OFF,
        captures_content: bool = False,
        follows_callers: bool = True,
    ) -> None:
        """Make spans with `tracer` of the calls that `sampler` lets pass.

        `follows_callers` is whether a call is a part of the trace that its caller names.
        """
        self._tracer = tracer
        self._sampler = sampler
        self._bound = _bound(sampler)
        self._captures_content = captures_content
        self._follows_callers = follows_callers

    def caller(self, metadata: Metadata) -> Context | None:
        """What the caller says of the trace that its call is a part of, if anything."""
        parent = metadata.last(_PARENT) if self._follows_callers else None
        if parent is None:
            return None
        carrier = {_PARENT: parent}
        if (state := metadata.last(_STATE)) is not None:
            carrier[_STATE] = state
        return _PROPAGATOR.extract(carrier, Context())

    def begin(self, name: str, caller: Context | None, attributes: Attributes) -> Trace | None:
        """Begin the server span of a call that is sampled."""
        if self._tracer is None:
            return None
        # Random in all its bits: everyone who samples by it decides alike.
        parent, trace_id = None, new_id(128)
        if caller is not None:
            named = get_current_span(caller).get_span_context()
            if named.is_valid:
                parent, trace_id = named, named.trace_id
        elif trace_id & _LOW_BITS >= self._bound:
            return None
        decided = self._sampler.should_sample(caller or _NOWHERE, trace_id, name, SpanKind.SERVER, attributes)
        if decided.decision is not Decision.RECORD_AND_SAMPLE:
            return None
        # The sampler may put attributes of its own in the place of ours.
        span = self._tracer.begin(
            name,
            SpanKind.SERVER,
            {**attributes, **decided.attributes},
            trace_id=trace_id,
            parent=parent,
            state=decided.trace_state,
        )
        return Trace(span, self._tracer, captures_content=self._captures_content)


def _bound(sampler: Sampler) -> int:
    """From which low bits of an id on `sampler` lets no trace begin, for most calls not to ask it at all.

    It takes much longer to say no. What is in the SDK's ParentBased is its own affair: where that is nothing that is
    known, and in any other sampler, each call asks.
    """
    root = getattr(sampler, "_root", None) if type(sampler) in _AS_CALLERS else sampler
    return root.bound if type(root) is TraceIdRatioBased else _LOW_BITS + 1


def ids_of(trace: Trace | None, caller: Context | None) -> Mapping[str, str]:
    """By what the log finds the trace: that of a call which is not sampled may be so elsewhere."""
    if trace is not None:
        context = trace.span.get_span_context()
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    if caller is None:
        return _NO_IDS
    context = get_current_span(caller).get_span_context()
    return {"trace_id": f"{context.trace_id:032x}"} if context.is_valid else _NO_IDS


# Not opentelemetry.propagate, which raises as it is imported if OTEL_PROPAGATORS names what is not installed.
_PROPAGATOR = TraceContextTextMapPropagator()
_PARENT, _STATE = "traceparent", "tracestate"
_NOWHERE = Context()
_LOW_BITS = TraceIdRatioBased.TRACE_ID_LIMIT
_AS_CALLERS = (ParentBased, ParentBasedTraceIdRatio)
_NO_IDS: Mapping[str, str] = {}
