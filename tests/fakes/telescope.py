"""Everything that telemetry says, kept to be looked at."""

from collections.abc import Mapping, Sequence

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from penstockd.instruments import Instruments

Point = tuple[Mapping[str, object], float]


class Telescope:
    """Instruments, a meter and a tracer, and what came of them."""

    def __init__(self) -> None:
        self.instruments = Instruments()
        self._metrics = InMemoryMetricReader()
        self._meters = MeterProvider(metric_readers=[self._metrics], shutdown_on_exit=False)
        self._spans = InMemorySpanExporter()
        self._tracers = TracerProvider(shutdown_on_exit=False)
        self._tracers.add_span_processor(SimpleSpanProcessor(self._spans))

    @property
    def meter(self) -> Meter:
        """Makes instruments."""
        return self._meters.get_meter("test")

    @property
    def tracer(self) -> Tracer:
        """Makes spans."""
        return self._tracers.get_tracer("test")

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that have ended."""
        return self._spans.get_finished_spans()

    def points(self, name: str) -> list[Point]:
        """The attributes and the sum of each point of a metric."""
        ours: list[Point] = [
            (labels, series.sum)
            for histogram in self.instruments.histograms
            if histogram.name == name
            for labels, series in histogram.series
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
