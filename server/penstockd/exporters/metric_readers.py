"""Hands what is aggregated in process to OpenTelemetry's readers, beside what its SDK has measured itself.

The SDK calls a reader only when it has something to show itself; the daemon's gauges always have.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import cast

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Histogram as HistogramKind
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry

from penstockd.clock import Clock
from penstockd.exporters.variables import Variables
from penstockd.metrics.instruments import Count, Counter, Histogram, Instruments, Series

SCOPE = "penstockd"
INTERVAL = 60_000
"""Milliseconds from one export to the next, where OTEL_METRIC_EXPORT_INTERVAL does not say."""
TIMEOUT = 30_000
"""Milliseconds for one of them, where OTEL_METRIC_EXPORT_TIMEOUT does not say."""
UNSET = cast("float", None)


class PrometheusReader(PrometheusMetricReader):
    """Shows everything at a registry, whenever that is asked."""

    def __init__(self, instruments: Instruments, *, registry: CollectorRegistry, clock: Clock) -> None:
        """Show `instruments` too."""
        super().__init__(registry=registry, scope_info_enabled=False)
        self._ours = _Ours(instruments, clock=clock, is_delta=False)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> None:
        super()._receive_metrics(self._ours.added_to(metrics_data), timeout_millis, **kwargs)


class ExportingReader(PeriodicExportingMetricReader):
    """Exports everything now and then: how often, and whether as sums or as what is new, the OTEL_* variables say."""

    def __init__(
        self, instruments: Instruments, *, exporter: MetricExporter, variables: Variables, clock: Clock
    ) -> None:
        """Export `instruments` too."""
        super().__init__(
            exporter,
            export_interval_millis=variables.count("OTEL_METRIC_EXPORT_INTERVAL", INTERVAL),
            export_timeout_millis=variables.count("OTEL_METRIC_EXPORT_TIMEOUT", TIMEOUT),
        )
        preferred = self._preferred_temporality or {}
        is_delta = preferred.get(HistogramKind) is AggregationTemporality.DELTA
        self._ours = _Ours(instruments, clock=clock, is_delta=is_delta)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> None:
        super()._receive_metrics(self._ours.added_to(metrics_data), timeout_millis, **kwargs)


class _Ours:
    """Our instruments as one reader is to see them: all that was measured, or what is new since it looked last."""

    def __init__(self, instruments: Instruments, *, clock: Clock, is_delta: bool) -> None:
        self._instruments = instruments
        self._clock = clock
        self._temporality = AggregationTemporality.DELTA if is_delta else AggregationTemporality.CUMULATIVE
        self._is_delta = is_delta
        self._since = _nanoseconds(clock.wall())
        self._seen: dict[Series, tuple[Sequence[int], float]] = {}
        self._counted: dict[Count, int] = {}

    def added_to(self, data: MetricsData) -> MetricsData:
        """Return `data` with our metrics among those of our scope, or in one: an exporter takes each scope once."""
        now = _nanoseconds(self._clock.wall())
        metrics = [self._histogram(histogram, now) for histogram in self._instruments.histograms if histogram.series]
        metrics += [self._counter(counter, now) for counter in self._instruments.counters if counter.series]
        if self._is_delta:
            self._since = now
        (resource,) = data.resource_metrics
        theirs = {scope.scope.name: scope for scope in resource.scope_metrics}
        ours = theirs.get(SCOPE) or ScopeMetrics(scope=InstrumentationScope(SCOPE), metrics=[], schema_url="")
        scopes = {**theirs, SCOPE: replace(ours, metrics=[*ours.metrics, *metrics])}
        return MetricsData([replace(resource, scope_metrics=list(scopes.values()))])

    def _histogram(self, histogram: Histogram, now: int) -> Metric:
        points = [self._distribution(histogram, labels, series, now) for labels, series in histogram.series]
        data = HistogramData(data_points=points, aggregation_temporality=self._temporality)
        return Metric(name=histogram.name, description=histogram.description, unit=histogram.unit, data=data)

    def _distribution(
        self, histogram: Histogram, labels: dict[str, str], series: Series, now: int
    ) -> HistogramDataPoint:
        counts, total = self._measured(series)
        return HistogramDataPoint(
            attributes=labels,
            start_time_unix_nano=self._since,
            time_unix_nano=now,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=histogram.bounds,
            min=UNSET if self._is_delta or not any(counts) else series.smallest,
            max=UNSET if self._is_delta or not any(counts) else series.largest,
        )

    def _counter(self, counter: Counter, now: int) -> Metric:
        points = [
            NumberDataPoint(
                attributes=labels,
                start_time_unix_nano=self._since,
                time_unix_nano=now,
                value=self._counted_of(count) * counter.scale,
            )
            for labels, count in counter.series
        ]
        data = Sum(data_points=points, aggregation_temporality=self._temporality, is_monotonic=True)
        return Metric(name=counter.name, description=counter.description, unit=counter.unit, data=data)

    def _measured(self, series: Series) -> tuple[Sequence[int], float]:
        """The counts and the sum of `series`."""
        counts, total = tuple(series.counts), series.sum
        if not self._is_delta:
            return counts, total
        counts_before, total_before = self._seen.get(series, (repeat(0), 0.0))
        self._seen[series] = counts, total
        return [count - before for count, before in zip(counts, counts_before, strict=False)], total - total_before

    def _counted_of(self, count: Count) -> int:
        """What `count` has come to."""
        value = count.value
        if not self._is_delta:
            return value
        before, self._counted[count] = self._counted.get(count, 0), value
        return value - before


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
