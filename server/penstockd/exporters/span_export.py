"""Sends spans where the standard OTEL_* variables say, and counts those that get lost on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult

from penstockd.exporters.metric_readers import SCOPE
from penstockd.exporters.otlp_spans import OtlpSpans
from penstockd.exporters.variables import Variables
from penstockd.span import Tracer
from penstockd.tracing import Tracing

CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
QUEUE = 2048
"""Spans that may wait, where OTEL_BSP_MAX_QUEUE_SIZE does not say."""
DELAY = 5000
"""Milliseconds that spans gather, where OTEL_BSP_SCHEDULE_DELAY does not say."""
TIMEOUT = 30_000
"""Milliseconds that the SDK asks for and makes no use of, whatever OTEL_BSP_EXPORT_TIMEOUT says."""
BATCH = 512
"""Spans that travel together, where OTEL_BSP_MAX_EXPORT_BATCH_SIZE does not say."""
MOST = 128
"""Attributes, events and links of a span, where none of the OTEL_*_LIMIT variables says."""


class CountedSpanExporter(SpanExporter):
    """Hands spans to another exporter; counts those it was given and those it could not deliver."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Deliver `spans`, or say that they are lost."""
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self.lost += len(spans)
        return result

    def shutdown(self) -> None:
        """End what is on its way."""
        self._exporter.shutdown()


class CountedProcessor(BatchSpanProcessor):
    """Exports spans in batches; `dropped` counts those for which there was no room, or no way out.

    The SDK's own queue pushes out the oldest and tells nobody; what is kept out of it can be counted.
    """

    def __init__(self, exporter: SpanExporter, *, queue: int, batch: int, delay: float) -> None:
        """Let at most `queue` spans wait, for `delay` milliseconds as a rule, and `batch` of them travel together."""
        self._exporter = CountedSpanExporter(exporter)
        self._queue = queue
        self._let_in = 0
        self._kept_out = 0
        super().__init__(
            self._exporter,
            max_queue_size=queue,
            max_export_batch_size=min(batch, queue),
            schedule_delay_millis=delay,
            export_timeout_millis=TIMEOUT,
            meter_provider=NoOpMeterProvider(),
        )

    @property
    def dropped(self) -> int:
        """How many spans were lost."""
        return self._kept_out + self._exporter.lost

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that has ended."""
        if self._let_in - self._exporter.taken >= self._queue:
            self._kept_out += 1
            return
        self._let_in += 1
        super().on_end(span)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """What makes spans and what sends them; there is nothing of either where nobody wants any."""

    tracing: Tracing
    tracer: Tracer | None = None
    processors: Sequence[CountedProcessor] = ()

    @property
    def dropped(self) -> int:
        """How many spans were lost."""
        return sum(processor.dropped for processor in self.processors)

    def stop(self) -> None:
        """Send what is waiting, for as long as the exporters' own timeouts let it take."""
        for processor in self.processors:
            processor.shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it so


def spans_to(exporters: Sequence[str], variables: Variables, resource: Resource) -> Spans:
    """Send spans to `exporters`, named as OTEL_TRACES_EXPORTER names them; the SDK reads who is sampled."""
    # Not the meter provider that OTEL_PYTHON_METER_PROVIDER names: the SDK raises where there is none.
    otlp = partial(OtlpSpans, timeout=variables.timeout("TRACES"), meter_provider=NoOpMeterProvider())
    makers: Mapping[str, Callable[[], SpanExporter]] = {"otlp": otlp, "console": ConsoleSpanExporter}
    made = [variables.made(makers[name], "TRACES") for name in exporters if name in makers]
    follows_callers = _follows_callers(variables)
    if not any(made):
        return Spans(tracing=Tracing(follows_callers=follows_callers))
    queue = variables.count("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE)
    batch = variables.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH)
    delay = variables.count("OTEL_BSP_SCHEDULE_DELAY", DELAY)
    processors = [CountedProcessor(exporter, queue=queue, batch=batch, delay=delay) for exporter in made if exporter]

    def finished(span: ReadableSpan) -> None:
        for processor in processors:
            processor.on_end(span)

    limits = _limits(variables)
    tracer = Tracer(finished, resource=resource, scope=SCOPE, limits=limits)
    # No spans are made of it, but it reads the variables that say who is sampled.
    provider = TracerProvider(
        resource=resource, span_limits=limits, meter_provider=NoOpMeterProvider(), shutdown_on_exit=False
    )
    tracing = Tracing(
        tracer,
        sampler=provider.sampler,
        captures_content=variables.text(CAPTURE_CONTENT).lower() in _ON_SPANS,
        follows_callers=follows_callers,
    )
    return Spans(tracing=tracing, tracer=tracer, processors=processors)


def _follows_callers(variables: Variables) -> bool:
    """Whether a call is a part of its caller's trace: OTEL_PROPAGATORS may leave out the only way we know of that."""
    names = [name.strip().lower() for name in variables.text("OTEL_PROPAGATORS").split(",") if name.strip()]
    for name in names:
        if name not in _PROPAGATORS:
            variables.ignore(f"OTEL_PROPAGATORS={name}", "tracecontext is what is known here")
    known = [name for name in names if name in _PROPAGATORS]
    return not known or ("tracecontext" in known and "none" not in known)


def _limits(variables: Variables) -> SpanLimits:
    """How much a span may carry, the SDK's defaults and precedence included."""
    most = variables.limit("OTEL_ATTRIBUTE_COUNT_LIMIT", MOST)
    longest = variables.limit("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
    return SpanLimits(
        max_attributes=most,
        max_span_attributes=variables.limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", most),
        max_event_attributes=variables.limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", most),
        max_link_attributes=variables.limit("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", most),
        max_events=variables.limit("OTEL_SPAN_EVENT_COUNT_LIMIT", MOST),
        max_links=variables.limit("OTEL_SPAN_LINK_COUNT_LIMIT", MOST),
        max_attribute_length=longest,
        max_span_attribute_length=variables.limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", longest),
    )


_PROPAGATORS = ("tracecontext", "baggage", "none")
_ON_SPANS = {"true", "span_only", "span_and_event"}
