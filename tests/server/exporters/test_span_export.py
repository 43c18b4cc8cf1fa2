"""Spans are sent or counted as lost, as the standard variables say."""

from collections.abc import Sequence
from threading import Event

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from penstockd.exporters.span_export import CountedProcessor, Spans, spans_to
from penstockd.exporters.variables import Variables
from penstockd.metadata import Metadata

NOWHERE = Resource.get_empty()


class FakeCollector(SpanExporter):
    """Takes spans as it is told to: well, badly, never, or not at all."""

    def __init__(self, result: SpanExportResult | Exception = SpanExportResult.SUCCESS) -> None:
        self.taken = 0
        self.asked = Event()
        self.goes_on = Event()
        self.goes_on.set()
        self.is_shut_down = False
        self._result = result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.goes_on.wait()
        self.taken += len(spans)
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def shutdown(self) -> None:
        self.is_shut_down = True


class Scene:
    """A provider whose spans go to a fake collector, at most four at a time."""

    def __init__(self, collector: FakeCollector) -> None:
        self.processor = CountedProcessor(collector, queue=4, batch=512, delay=1.0)
        self._provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
        self._provider.add_span_processor(self.processor)

    def end(self, count: int) -> None:
        """End `count` spans."""
        tracer = self._provider.get_tracer("test")
        for _ in range(count):
            tracer.start_span("it").end()

    def stop(self) -> None:
        """Send what is waiting."""
        self._provider.shutdown()


def test_what_is_delivered_is_not_lost() -> None:
    """All of it, by the end at the latest."""
    collector = FakeCollector()
    scene = Scene(collector)

    scene.end(3)
    scene.stop()

    assert (collector.taken, scene.processor.dropped, collector.is_shut_down) == (3, 0, True)


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, ConnectionError("refused")], ids=repr)
def test_what_cannot_be_delivered_is_counted(result: SpanExportResult | Exception) -> None:
    """Whether the exporter says so or raises."""
    scene = Scene(FakeCollector(result))

    scene.end(3)
    scene.stop()

    assert scene.processor.dropped == 3


def test_what_finds_no_room_is_counted() -> None:
    """A collector that hangs holds one batch; the queue's length waits, and the rest is dropped, one by one."""
    collector = FakeCollector()
    collector.goes_on.clear()
    scene = Scene(collector)
    scene.end(1)
    assert collector.asked.wait(10)

    scene.end(7)
    dropped = scene.processor.dropped
    collector.goes_on.set()
    scene.stop()

    assert dropped == 3
    assert (collector.taken, scene.processor.dropped) == (5, 3)


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables but the test's own."""
    for name in ("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"):
        monkeypatch.delenv(name, raising=False)


def made(capture: str = "", **environ: str) -> Spans:
    """Spans that go to the console."""
    variables = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": capture, **environ}
    return spans_to(["console"], Variables(variables), NOWHERE)


@pytest.mark.parametrize(("ratio", "is_traced"), [("0", False), ("1", True)])
def test_the_standard_variables_say_who_is_sampled(
    monkeypatch: pytest.MonkeyPatch, ratio: str, *, is_traced: bool
) -> None:
    """The SDK reads them itself."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    it = made()

    assert (it.tracing.begin("call", None, {}) is not None) is is_traced

    it.stop()
    assert it.dropped == 0


@pytest.mark.parametrize(
    ("value", "captures"),
    [
        ("", False),
        ("false", False),
        ("event_only", False),
        ("nonsense", False),
        ("true", True),
        ("True", True),
        ("SPAN_ONLY", True),
        ("span_and_event", True),
    ],
)
def test_content_is_captured_only_where_the_conventions_variable_says_so(value: str, *, captures: bool) -> None:
    """And only on spans: we make no such events."""
    it = made(value)

    trace = it.tracing.begin("call", None, {})

    assert trace is not None
    assert trace.captures_content is captures
    it.stop()


@pytest.mark.parametrize("size", ["1", "0", "-5", "many", "9" * 30, ""])
def test_a_queue_of_any_size_is_no_reason_not_to_start(size: str) -> None:
    """The SDK would refuse a queue below its batch; what is no size at all is the default's."""
    it = made(OTEL_BSP_MAX_QUEUE_SIZE=size, OTEL_BSP_SCHEDULE_DELAY=size, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=size)

    it.stop()


CALLER = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


@pytest.mark.parametrize(
    ("propagators", "follows"),
    [
        ("", True),
        ("tracecontext,baggage", True),
        ("b3, TraceContext", True),
        ("b3", True),
        ("none", False),
        ("baggage", False),
        ("tracecontext,none", False),
    ],
)
@pytest.mark.parametrize("exporters", [["console"], []])
def test_callers_may_be_kept_from_saying_what_their_calls_are_a_part_of(
    exporters: list[str], propagators: str, *, follows: bool
) -> None:
    """As OTEL_PROPAGATORS says: W3C's is the only way we know."""
    it = spans_to(exporters, Variables({"OTEL_PROPAGATORS": propagators}), NOWHERE)

    assert (it.tracing.caller(Metadata(CALLER)) is not None) is follows
    it.stop()


@pytest.mark.parametrize(
    ("environ", "attributes"),
    [({}, 128), ({"COUNT": "3"}, 3), ({"COUNT": "3", "SPAN": "lots"}, 3), ({"SPAN": "2"}, 2), ({"SPAN": "unset"}, 200)],
)
def test_a_span_carries_as_much_as_the_variables_let_it(environ: dict[str, str], attributes: int) -> None:
    """The span's own variable wins over that of all, unless it says nothing."""
    names = {"COUNT": "OTEL_ATTRIBUTE_COUNT_LIMIT", "SPAN": "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"}
    it = made(**{names[name]: value for name, value in environ.items()})

    assert it.tracer
    ended: list[ReadableSpan] = []
    it.tracer.finished = ended.append

    trace = it.tracing.begin("call", None, {f"a{number}": number for number in range(200)})
    assert trace is not None
    trace.span.end()
    it.stop()

    assert [len(span.attributes or {}) for span in ended] == [attributes]


def test_there_is_nothing_to_stop_where_nothing_is_sent() -> None:
    """Nor anything to drop."""
    it = spans_to(["none"], Variables({}), NOWHERE)

    it.stop()

    assert it.dropped == 0
    assert it.tracing.begin("call", None, {}) is None
