"""Spans are what the SDK's would be, whether the daemon writes on them or an agent does."""

import time
from collections import UserDict
from collections.abc import Callable, ItemsView, Iterator
from threading import Thread

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import INVALID_SPAN_CONTEXT, TraceState

from penstockd.span import Tracer

RESOURCE = Resource({"service.name": "it"})
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
REMOTE = SpanContext(TRACE, 7, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("vendor", "x")]))
SMALL = SpanLimits(
    max_span_attributes=2,
    max_events=2,
    max_links=1,
    max_event_attributes=1,
    max_link_attributes=1,
    max_attribute_length=5,
    max_span_attribute_length=4,
)
NONE = SpanLimits(max_span_attributes=0, max_events=0, max_links=0, max_event_attributes=0, max_link_attributes=0)


def ours(write: Callable[[Span], None], limits: SpanLimits) -> ReadableSpan:
    """What `write` makes of a span of ours."""
    ended: list[ReadableSpan] = []
    tracer = Tracer(ended.append, resource=RESOURCE, scope="test", limits=limits)
    span = tracer.begin("it", SpanKind.CLIENT, {"first": 1}, trace_id=TRACE, parent=None, state=None)
    write(span)
    span.end(9)
    (made,) = ended
    return made


def theirs(write: Callable[[Span], None], limits: SpanLimits) -> ReadableSpan:
    """What `write` makes of a span of the SDK's."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_ON, resource=RESOURCE, span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    span = provider.get_tracer("test").start_span("it", kind=SpanKind.CLIENT, attributes={"first": 1})
    write(span)
    span.end(9)
    (made,) = kept.get_finished_spans()
    return made


def everything(span: ReadableSpan) -> dict[str, object]:
    """All that it says, but for its ids and the time at which it began."""
    return {
        "name": span.name,
        "kind": span.kind,
        "attributes": (dict(span.attributes or {}), span.dropped_attributes),
        "events": [
            (event.name, event.timestamp, dict(event.attributes or {}), event.dropped_attributes)
            for event in span.events
        ],
        "links": [(link.context, dict(link.attributes or {}), link.dropped_attributes) for link in span.links],
        "dropped": (span.dropped_events, span.dropped_links),
        "status": (span.status.status_code, span.status.description),
        "end": span.end_time,
        "whose": (span.resource, span.instrumentation_scope and span.instrumentation_scope.name),
    }


def says_nothing(_: Span) -> None:
    """As many spans do."""


def says_a_lot(span: Span) -> None:
    """Of every kind there is."""
    span.set_attributes({"text": "a longer text", "list": ["one", "another"], "number": 3, "part": 0.5, "yes": True})
    span.set_attribute("first", 2)
    for number in range(3):
        span.add_event("happened", {"number": number, "text": "a longer text"}, timestamp=number)
        span.add_link(REMOTE, {"number": number, "text": "a longer text"})
    span.add_event("happened", timestamp=5)
    span.add_link(REMOTE)
    span.update_name("other")


def says_what_cannot_be_said(span: Span) -> None:
    """What is no attribute, and a link that leads nowhere."""
    span.set_attribute("odd", object())  # type: ignore[arg-type]
    span.set_attribute("", "nameless")
    span.set_attribute("nothing", None)
    span.set_attributes({5: "named by a number", None: "nameless"})  # type: ignore[dict-item]
    span.set_status("ERROR")  # type: ignore[arg-type]
    span.set_status(None)  # type: ignore[arg-type]
    span.add_link(None)  # type: ignore[arg-type]
    span.add_event("odd", {"odd": object()}, timestamp=1)  # type: ignore[dict-item]
    span.add_link(INVALID_SPAN_CONTEXT)


def goes_well_whatever_comes(span: Span) -> None:
    """The first OK is final, and what is unset says nothing."""
    span.set_status(StatusCode.ERROR, "no")
    span.set_status(StatusCode.UNSET)
    span.set_status(Status(StatusCode.OK))
    span.set_status(StatusCode.ERROR, "too late")


def fails(span: Span) -> None:
    """For a reason."""
    span.set_status(StatusCode.ERROR, "no")
    span.set_status(Status(StatusCode.ERROR, "still no"))
    span.set_status(StatusCode.UNSET)


def raises(span: Span) -> None:
    """And says what."""
    span.record_exception(ValueError("odd"), {"more": 1}, timestamp=3)
    span.record_exception(SpanLimitReached("odd"), timestamp=4, escaped=True)


def goes_on_after_its_end(span: Span) -> None:
    """Which changes nothing any more."""
    span.set_attribute("before", 1)
    span.end(9)
    span.end(10)
    span.set_attribute("after", 1)
    span.set_attributes({"after": 1})
    span.add_event("after")
    span.add_link(REMOTE)
    span.update_name("after")
    span.set_status(StatusCode.ERROR)


class SpanLimitReached(Exception):
    """An error with a module."""


@pytest.mark.parametrize("limits", [SpanLimits(), SMALL, NONE], ids=["as it comes", "little room", "no room"])
@pytest.mark.parametrize(
    "write",
    [
        says_nothing,
        says_a_lot,
        says_what_cannot_be_said,
        goes_well_whatever_comes,
        fails,
        raises,
        goes_on_after_its_end,
    ],
)
def test_it_says_what_the_sdks_would(write: Callable[[Span], None], limits: SpanLimits) -> None:
    """All the API can tell a span, as far as there is room."""
    assert everything(ours(write, limits)) == everything(theirs(write, limits))


def test_what_the_daemon_says_is_kept_as_it_is() -> None:
    """Until there is no room for it; beside what came by the API too."""
    ended: list[ReadableSpan] = []
    for limits in (SpanLimits(), SMALL):
        tracer = Tracer(ended.append, resource=RESOURCE, scope="test", limits=limits)
        span = tracer.begin("it", SpanKind.SERVER, {"a": 1}, trace_id=TRACE, parent=None, state=None)
        span.set_attribute("b", 2)
        span.put({"c": "a longer text"})
        span.note("happened", {"a": "a longer text", "b": 2})
        span.end()

    said = [(dict(span.attributes or {}), dict(span.events[0].attributes or {})) for span in ended]
    assert said == [
        ({"a": 1, "b": 2, "c": "a longer text"}, {"a": "a longer text", "b": 2}),
        ({"b": 2, "c": "a lo"}, {"b": 2}),
    ]
    assert [span.dropped_attributes for span in ended] == [0, 1]


def test_after_its_end_the_daemon_says_nothing_either() -> None:
    """An agent may have ended it; what is exported meanwhile does not change any more."""
    ended: list[ReadableSpan] = []
    tracer = Tracer(ended.append, resource=RESOURCE, scope="test", limits=SpanLimits())
    span = tracer.begin("it", SpanKind.SERVER, {"a": 1}, trace_id=TRACE, parent=None, state=None)
    span.note("before", {})

    span.end()
    span.put({"late": 1})
    span.note("late", {})

    assert [(dict(each.attributes or {}), [event.name for event in each.events]) for each in ended] == [
        ({"a": 1}, ["before"])
    ]


def test_an_agent_that_writes_while_it_is_written_down_holds_up_nobody() -> None:
    """Its own code may run in the middle: of a mapping, or of whatever the collector ends then."""
    ended: list[ReadableSpan] = []
    tracer = Tracer(ended.append, resource=RESOURCE, scope="test", limits=SpanLimits())
    span = tracer.begin("it", SpanKind.SERVER, {}, trace_id=TRACE, parent=None, state=None)

    class Odd(UserDict[str, int]):
        """Writes as it is read."""

        def items(self) -> ItemsView[str, int]:
            """Write, and be read."""
            span.set_attribute("first", 1)
            return super().items()

        def __iter__(self) -> Iterator[str]:
            """Write, and be read."""
            span.set_attribute("second", 2)
            return super().__iter__()

    def write() -> None:
        span.set_attributes(Odd(it=3))
        span.put(Odd(ours=4))
        span.end()

    writer = Thread(target=write, daemon=True)
    writer.start()
    writer.join(10)

    assert [dict(each.attributes or {}) for each in ended] == [{"first": 1, "it": 3, "second": 2, "ours": 4}]


def test_it_is_a_part_of_its_trace() -> None:
    """By the trace's id and state; whether the id is random is told on to whoever samples by it."""
    ended: list[ReadableSpan] = []
    tracer = Tracer(ended.append, resource=RESOURCE, scope="test", limits=SpanLimits())

    first = tracer.begin("first", SpanKind.SERVER, {}, trace_id=TRACE, parent=None, state=None)
    within = tracer.begin(
        "within", SpanKind.INTERNAL, {}, trace_id=TRACE, parent=first.get_span_context(), state=TraceState()
    )
    called = tracer.begin("called", SpanKind.SERVER, {}, trace_id=TRACE, parent=REMOTE, state=REMOTE.trace_state)
    with called:
        pass

    of_first, of_within, of_called = (span.get_span_context() for span in (first, within, called))
    assert {context.trace_id for context in (of_first, of_within, of_called)} == {TRACE}
    assert len({context.span_id for context in (of_first, of_within, of_called)}) == 3
    assert [int(context.trace_flags) for context in (of_first, of_within, of_called)] == [3, 3, 1]
    assert [dict(context.trace_state) for context in (of_first, of_within, of_called)] == [{}, {}, {"vendor": "x"}]
    assert [(span.name, span.parent) for span in ended] == [("called", REMOTE)]
    assert (first.is_recording(), called.is_recording()) == (True, False)


def test_it_lasts_from_when_it_was_begun_until_it_is_ended() -> None:
    """In unix nanoseconds."""
    made = ours(says_nothing, SpanLimits())

    assert abs((made.start_time or 0) - time.time_ns()) < 60 * 10**9
    assert made.end_time == 9
