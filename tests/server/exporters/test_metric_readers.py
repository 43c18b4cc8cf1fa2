"""What is aggregated in process is read beside what OpenTelemetry has measured itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, HistogramDataPoint, Metric
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry

from fakes.clock import WALL_AT_ZERO, FakeClock
from fakes.receiver import Receiver
from penstockd.exporters.metric_readers import SCOPE, ExportingReader, PrometheusReader
from penstockd.exporters.variables import Variables
from penstockd.metrics.instruments import Instruments

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    async with Receiver() as it:
        yield it


class Scene:
    """A histogram, a gauge of the SDK's, and a reader of both."""

    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.instruments = Instruments()
        self._took = self.instruments.histogram(
            "took", unit="s", description="How long.", labels=("method", "error.type"), bounds=(1.0, 2.0)
        )
        self.spent = self.instruments.counter(
            "spent", unit="usd", description="How much.", labels=("model",), scale=1e-9
        )

    def took(self, method: str, *seconds: float, error: str = "") -> None:
        """Measure so many calls."""
        for each in seconds:
            self._took.of(method, error).observe(each)

    def read_by(self, reader: MetricReader) -> MeterProvider:
        """Register the reader at an SDK that has a gauge."""
        provider = MeterProvider([reader], resource=Resource.create({"service.name": "test"}), shutdown_on_exit=False)
        for scope in ("test", SCOPE):
            provider.get_meter(scope).create_observable_gauge(f"theirs.{scope}", [lambda _: [Observation(5)]])
        return provider


async def received(receiver: Receiver, provider: MeterProvider) -> dict[str, Metric]:
    """What one export brings, by name."""
    receiver.metrics.clear()
    await asyncio.to_thread(provider.force_flush)
    return {metric.name: metric for metric in receiver.metrics}


def test_prometheus_reads_both() -> None:
    """Under the names and labels that OpenTelemetry's own instruments would have."""
    scene, registry = Scene(), CollectorRegistry()
    provider = scene.read_by(PrometheusReader(scene.instruments, registry=registry, clock=scene.clock))
    scene.took("ask", 0.5, 2.5)
    scene.took("ask", 1.5, error="timeout")
    scene.spent.of("fast").add(1_500_000_000)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    fine, failed = {"method": "ask", "error_type": ""}, {"method": "ask", "error_type": "timeout"}
    assert (value("theirs_test"), value(f"theirs_{SCOPE}")) == (5, 5)
    assert value("spent_usd_total", model="fast") == 1.5
    assert [value("took_seconds_bucket", le=le, **fine) for le in ("1.0", "2.0", "+Inf")] == [1, 1, 2]
    assert (value("took_seconds_count", **fine), value("took_seconds_sum", **fine)) == (2, 3)
    assert (value("took_seconds_count", **failed), value("took_seconds_sum", **failed)) == (1, 1.5)
    provider.shutdown()


def test_what_was_never_measured_is_not_shown() -> None:
    """Not even its name."""
    scene, registry = Scene(), CollectorRegistry()
    provider = scene.read_by(PrometheusReader(scene.instruments, registry=registry, clock=scene.clock))

    assert not {"took", "spent"} & {family.name for family in registry.collect()}
    provider.shutdown()


async def test_a_receiver_gets_all_that_was_measured(receiver: Receiver) -> None:
    """Each time: sums since the beginning."""
    scene = Scene()
    exporter = OTLPMetricExporter(f"{receiver.url}/v1/metrics")
    provider = scene.read_by(
        ExportingReader(scene.instruments, exporter=exporter, variables=Variables({}), clock=scene.clock)
    )
    scene.took("ask", 0.5, 2.5)
    scene.spent.of("fast").add(1_000_000_000)

    await received(receiver, provider)
    scene.clock.advance(10)
    scene.took("ask", 1.5)
    scene.spent.of("fast").add(500_000_000)
    metrics = await received(receiver, provider)
    await asyncio.to_thread(provider.shutdown)

    took = metrics["took"]
    assert [metrics[f"theirs.{scope}"].gauge.data_points[0].as_int for scope in ("test", SCOPE)] == [5, 5]
    assert (took.description, took.unit) == ("How long.", "s")
    assert took.histogram.aggregation_temporality == CUMULATIVE
    (point,) = took.histogram.data_points
    assert {each.key: each.value.string_value for each in point.attributes} == {"method": "ask"}
    assert list(point.explicit_bounds) == [1, 2]
    assert (list(point.bucket_counts), point.count, point.sum) == ([1, 1, 1], 3, 4.5)
    assert (point.min, point.max) == (0.5, 2.5)
    assert span(point) == (1000, 1010)
    spent = metrics["spent"].sum
    assert (spent.is_monotonic, spent.aggregation_temporality) == (True, CUMULATIVE)
    assert [point.as_double for point in spent.data_points] == [1.5]


async def test_what_was_not_measured_yet_has_no_extremes(receiver: Receiver) -> None:
    """Infinity is no number that a receiver could show."""
    scene = Scene()
    exporter = OTLPMetricExporter(f"{receiver.url}/v1/metrics")
    provider = scene.read_by(
        ExportingReader(scene.instruments, exporter=exporter, variables=Variables({}), clock=scene.clock)
    )
    scene.instruments.histogram("idle", unit="s", description="", labels=(), bounds=()).of()

    (point,) = (await received(receiver, provider))["idle"].histogram.data_points
    await asyncio.to_thread(provider.shutdown)

    assert (point.count, point.HasField("min"), point.HasField("max")) == (0, False, False)


async def test_a_receiver_that_prefers_it_gets_what_is_new(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE asks; of an interval nobody keeps the extremes."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    scene = Scene()
    exporter = OTLPMetricExporter(f"{receiver.url}/v1/metrics")
    provider = scene.read_by(
        ExportingReader(scene.instruments, exporter=exporter, variables=Variables({}), clock=scene.clock)
    )
    scene.took("ask", 0.5, 2.5)

    scene.spent.of("fast").add(1_000_000_000)

    scene.clock.advance(10)
    (first,) = (await received(receiver, provider))["took"].histogram.data_points
    scene.clock.advance(10)
    scene.took("ask", 1.5)
    scene.spent.of("fast").add(500_000_000)
    metrics = await received(receiver, provider)
    took = metrics["took"].histogram
    await asyncio.to_thread(provider.shutdown)

    assert (list(first.bucket_counts), first.count, first.sum, span(first)) == ([1, 0, 1], 2, 3.0, (1000, 1010))
    assert took.aggregation_temporality == DELTA
    (point,) = took.data_points
    assert (list(point.bucket_counts), point.count, point.sum, span(point)) == ([0, 1, 0], 1, 1.5, (1010, 1020))
    assert not point.HasField("min")
    assert not point.HasField("max")
    assert metrics["spent"].sum.aggregation_temporality == DELTA
    assert [point.as_double for point in metrics["spent"].sum.data_points] == [0.5]


def span(point: HistogramDataPoint) -> tuple[float, float]:
    """From when to when a point counts, in the fake clock's seconds."""
    moments = (point.start_time_unix_nano, point.time_unix_nano)
    start, end = (moment / 1e9 - WALL_AT_ZERO for moment in moments)
    return start, end
