"""Spans as OpenTelemetry's API has them, at a fraction of what the SDK's cost: a sampled call makes three or more.

What the daemon writes on them is taken as it is. What agents write, by way of the API, is cleaned by the SDK's means.
"""

import random
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from threading import RLock
from typing import Final, TypeAlias

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv.attributes import exception_attributes
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import AnyValue

Attributes: TypeAlias = Mapping[str, str | bool | int | float | Sequence[str]]
Foreign: TypeAlias = Mapping[str, AnyValue]


class Tracer:
    """Makes spans of one resource, and hands each that has ended to `finished`."""

    def __init__(
        self, finished: Callable[[ReadableSpan], None], *, resource: Resource, scope: str, limits: SpanLimits
    ) -> None:
        """Let no span carry more than `limits`; `scope` is who makes them."""
        self.finished = finished
        self.resource = resource
        self.scope = InstrumentationScope(scope)
        self.limits = limits

    def begin(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        trace_id: int,
        parent: SpanContext | None,
        state: TraceState | None,
    ) -> "Span":
        """Begin a span within `parent`, which the first of a trace has not; the trace's `state` is its vendors'."""
        flags = _OF_RANDOM_ID if parent is None or parent.trace_flags.random_trace_id else _SAMPLED
        return Span(
            self,
            name,
            kind,
            attributes,
            parent,
            SpanContext(trace_id, new_id(64), is_remote=False, trace_flags=flags, trace_state=state),
        )


class Span(ApiSpan):
    """One span; exported once it has ended, from when on it hears of nothing more.

    Agents may write on it from any thread. An error that leaves a `with` block of it is not written down.
    """

    def __init__(  # noqa: PLR0917 - for the tracer alone
        self,
        tracer: Tracer,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        parent: SpanContext | None,
        context: SpanContext,
    ) -> None:
        """Begin now; others know it by its `context`."""
        self._tracer = tracer
        self._name = name
        self._kind = kind
        self._attributes: MutableMapping[str, AnyValue] = dict(attributes)
        self._parent = parent
        self._context = context
        self._events: BoundedList[Event] | None = None
        self._links: BoundedList[Link] | None = None
        self._status = _UNSET
        self._is_recording = True
        self._began_at = time.time_ns()

    def put(self, attributes: Attributes) -> None:
        """Say this as well: names and values of the daemon's own, of the kinds that attributes have."""
        with _writing:
            if self._is_recording:
                self._attributes.update(attributes)

    def note(self, event: str, attributes: Attributes) -> None:
        """Say what happened just now, in the daemon's own words."""
        limits = self._tracer.limits
        self._add(Event(event, _fit(attributes, limits.max_event_attributes, limits.max_attribute_length)))

    def end(self, end_time: int | None = None) -> None:
        """End now, or at `end_time`, in unix nanoseconds; the first time counts."""
        with _writing:
            if not self._is_recording:
                return
            self._is_recording = False
        tracer, limits = self._tracer, self._tracer.limits
        span = ReadableSpan(
            name=self._name,
            context=self._context,
            parent=self._parent,
            resource=tracer.resource,
            attributes=_fit(self._attributes, limits.max_span_attributes, limits.max_span_attribute_length),
            events=() if self._events is None else self._events,
            links=() if self._links is None else self._links,
            kind=self._kind,
            status=self._status,
            start_time=self._began_at,
            end_time=end_time if isinstance(end_time, int) else time.time_ns(),
            instrumentation_scope=tracer.scope,
        )
        tracer.finished(span)

    def get_span_context(self) -> SpanContext:
        """What others know it by."""
        return self._context

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return self._is_recording

    def set_attributes(self, attributes: Foreign) -> None:
        """Say this as well, as far as attributes can."""
        named = {str(key) if key else "": value for key, value in attributes.items()}
        with _writing:
            if self._is_recording:
                self._foreign().update(named)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Say this as well, if an attribute can."""
        with _writing:
            if self._is_recording:
                self._foreign()[key] = value

    def add_event(self, name: str, attributes: Foreign | None = None, timestamp: int | None = None) -> None:
        """Say what happened just now, or at `timestamp`, in unix nanoseconds."""
        limits = self._tracer.limits
        cleaned = _bounded(attributes or {}, limits.max_event_attributes, limits.max_attribute_length)
        self._add(Event(str(name), cleaned, timestamp if isinstance(timestamp, int) else None))

    def add_link(self, context: SpanContext, attributes: Foreign | None = None) -> None:
        """Point to the span of another trace."""
        if not _leads_somewhere(context, attributes):
            return
        limits = self._tracer.limits
        cleaned = _bounded(attributes or {}, limits.max_link_attributes, limits.max_attribute_length)
        with _writing:
            if self._is_recording:
                self._links = BoundedList(limits.max_links) if self._links is None else self._links
                self._links.append(Link(context, cleaned))

    def update_name(self, name: str) -> None:
        """Be called otherwise."""
        if self._is_recording:
            self._name = str(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say how it went, unless somebody said that it went well; unset says nothing."""
        told = Status(status, description) if isinstance(status, StatusCode) else status
        if not isinstance(told, Status):
            return
        if self._is_recording and not told.is_unset and self._status.status_code is not StatusCode.OK:
            self._status = told

    def record_exception(
        self,
        exception: BaseException,
        attributes: Foreign | None = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - the API's signature
    ) -> None:
        """Say that `exception` was raised: agents do, the daemon never does, for it may repeat a prompt."""
        kind = type(exception)
        said = {
            exception_attributes.EXCEPTION_TYPE: kind.__qualname__
            if kind.__module__ == "builtins"
            else f"{kind.__module__}.{kind.__qualname__}",
            exception_attributes.EXCEPTION_MESSAGE: str(exception),
            exception_attributes.EXCEPTION_STACKTRACE: "".join(traceback.format_exception(exception)),
            exception_attributes.EXCEPTION_ESCAPED: str(escaped),
        }
        self.add_event("exception", {**said, **(attributes or {})}, timestamp)

    def _add(self, event: Event) -> None:
        with _writing:
            if self._is_recording:
                self._events = BoundedList(self._tracer.limits.max_events) if self._events is None else self._events
                self._events.append(event)

    def _foreign(self) -> BoundedAttributes:
        """The attributes, which from now on are cleaned and bounded one by one."""
        if type(self._attributes) is not BoundedAttributes:
            limits = self._tracer.limits
            most, longest = limits.max_span_attributes, limits.max_span_attribute_length
            self._attributes = BoundedAttributes(most, self._attributes, immutable=False, max_value_len=longest)
        return self._attributes


def new_id(bits: int) -> int:
    """Return a random id of a trace or a span, which is never nought."""
    return random.getrandbits(bits) or 1


def _leads_somewhere(context: SpanContext | None, attributes: Foreign | None) -> bool:
    """Whether a link says anything, by the API's own rule; an agent may have no context at all."""
    return context is not None and bool(context.is_valid or attributes or context.trace_state)


def _fit(attributes: Foreign, most: int | None, longest: int | None) -> Foreign:
    """`attributes`, which need no cleaning, and bounded only where they are too many, or may be too long."""
    if type(attributes) is BoundedAttributes or (longest is None and (most is None or len(attributes) <= most)):
        return attributes
    return _bounded(attributes, most, longest)


def _bounded(attributes: Foreign, most: int | None, longest: int | None) -> BoundedAttributes:
    return BoundedAttributes(most, attributes, max_value_len=longest)


# Reentrant: agents' own code may run in it, and the collector, which ends what left a span open.
_writing: Final = RLock()
_UNSET: Final = Status(StatusCode.UNSET)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_OF_RANDOM_ID: Final = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
