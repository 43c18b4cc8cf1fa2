"""Everything that telemetry says, kept to be looked at."""

from collections.abc import Mapping, Sequence

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from penstockd.metrics.instruments import Instruments
from penstockd.span import Tracer
from penstockd.tracing import Tracing

Point = tuple[Mapping[str, object], float]


class Telescope:
    """Instruments, a meter and a tracer, and what came of them."""

    def __init__(self) -> None:
        self.instruments = Instruments()
        self._metrics = InMemoryMetricReader()
        self._meters = MeterProvider(metric_readers=[self._metrics], shutdown_on_exit=False)
        self._spans = InMemorySpanExporter()
        self._tracer = Tracer(
            SimpleSpanProcessor(self._spans).on_end,
            resource=Resource.get_empty(),
            scope="test",
            limits=SpanLimits(),
        )

    @property
    def meter(self) -> Meter:
        """Makes instruments."""
        return self._meters.get_meter("test")

    def tracing(self, sampler: Sampler = ALWAYS_ON, *, captures_content: bool = False) -> Tracing:
        """Makes spans of calls that `sampler` lets pass."""
        return Tracing(self._tracer, sampler=sampler, captures_content=captures_content)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that have ended."""
        return self._spans.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        """The one span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def points(self, name: str) -> list[Point]:
        """The attributes and the sum of each point of a metric."""
        ours: list[Point] = [
            (labels, series.sum)
            for histogram in self.instruments.histograms
            if histogram.name == name
            for labels, series in histogram.series
        ]
        ours += [
            (labels, count.value * counter.scale)
            for counter in self.instruments.counters
            if counter.name == name
            for labels, count in counter.series
        ]
        data = self._metrics.get_metrics_data()
        if data is None:
            return ours
        return ours + [
            (dict(point.attributes or {}), _sum(point))
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


def _sum(point: object) -> float:
    """A histogram's sum, or a counter's or a gauge's value."""
    return float(getattr(point, "sum", getattr(point, "value", 0.0)))
