"""Sends spans where the standard OTEL_* variables say, and counts those that get lost on the way."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from penstockd.exporters.metric_readers import SCOPE
from penstockd.tracing import ForeseenIds, Tracing

CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
QUEUE = 2048
"""Spans that may wait, where OTEL_BSP_MAX_QUEUE_SIZE does not say."""
DELAY = 5000
"""Milliseconds that spans gather, where OTEL_BSP_SCHEDULE_DELAY does not say."""
BATCH = 512
"""Spans that travel together, where OTEL_BSP_MAX_EXPORT_BATCH_SIZE does not say."""


class CountedExporter(SpanExporter):
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
        self._exporter = CountedExporter(exporter)
        self._queue = queue
        self._let_in = 0
        self._kept_out = 0
        super().__init__(
            self._exporter,
            max_queue_size=queue,
            max_export_batch_size=min(batch, queue),
            schedule_delay_millis=delay,
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
    """What makes spans and what sends them; there is nothing to send them where nobody wants any."""

    tracing: Tracing
    provider: TracerProvider | None = None
    processors: Sequence[CountedProcessor] = ()

    @property
    def dropped(self) -> int:
        """How many spans were lost."""
        return sum(processor.dropped for processor in self.processors)

    def stop(self) -> None:
        """Send what is waiting, for as long as the exporters' own timeouts let it take."""
        if self.provider is not None:
            self.provider.shutdown()


def spans(exporters: Sequence[str], environ: Mapping[str, str], resource: Resource) -> Spans:
    """Send spans to `exporters`, named as OTEL_TRACES_EXPORTER names them; the SDK reads who is sampled."""
    makers = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}
    queue = _count(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE)
    batch = _count(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH)
    delay = _count(environ, "OTEL_BSP_SCHEDULE_DELAY", DELAY)
    made: list[SpanExporter] = [makers[name]() for name in exporters if name in makers]
    if not made:
        return Spans(tracing=Tracing())
    ids = ForeseenIds()
    provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
    # A call is sampled or not before there is a span to ask the SDK about; what it makes then is wanted.
    sampler, provider.sampler = provider.sampler, ALWAYS_ON
    processors = [CountedProcessor(exporter, queue=queue, batch=batch, delay=delay) for exporter in made]
    for processor in processors:
        provider.add_span_processor(processor)
    tracing = Tracing(
        provider.get_tracer(SCOPE),
        sampler=sampler,
        ids=ids,
        captures_content=environ.get(CAPTURE_CONTENT, "").strip().lower() in _ON_SPANS,
    )
    return Spans(tracing=tracing, provider=provider, processors=processors)


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    """The whole number above zero that a variable holds, else the default."""
    text = environ.get(name, "").strip()
    return int(text) if _COUNT.fullmatch(text) else default


_COUNT = re.compile(r"[1-9][0-9]{0,8}")
_ON_SPANS = {"true", "span_only", "span_and_event"}
