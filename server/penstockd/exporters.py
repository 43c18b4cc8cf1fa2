"""Where telemetry goes: Prometheus always, OTLP where the standard OTEL_* variables say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from penstockd.clock import SystemClock
from penstockd.instruments import Instruments
from penstockd.metric_readers import SCOPE, ExportingReader, PrometheusReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """What the daemon measures with: `instruments` for every call, `meter` for what is rare or observed.

    `tracer` is None where nobody wants traces.
    """

    registry: CollectorRegistry
    instruments: Instruments
    meters: MeterProvider
    tracers: TracerProvider | None

    @property
    def meter(self) -> Meter:
        """Makes instruments."""
        return self.meters.get_meter(SCOPE)

    @property
    def tracer(self) -> Tracer | None:
        """Makes spans."""
        return None if self.tracers is None else self.tracers.get_tracer(SCOPE)

    def stop(self) -> None:
        """Send what is waiting, for as long as the exporters' own timeouts let it take."""
        self.meters.shutdown()
        if self.tracers is not None:
            self.tracers.shutdown()


def exporters(environ: Mapping[str, str], *, version: str) -> Exporters:
    """Read the OTEL_* variables that say where telemetry goes; the SDK itself reads the rest of them."""
    registry, instruments, clock = CollectorRegistry(), Instruments(), SystemClock()
    is_disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    resource = Resource.create(
        {"service.name": environ.get("OTEL_SERVICE_NAME") or "penstockd", "service.version": version}
    )
    readers: list[MetricReader] = [PrometheusReader(instruments, registry=registry, clock=clock)]
    if not is_disabled and "otlp" in _names(environ, "METRICS"):
        readers.append(ExportingReader(instruments, exporter=OTLPMetricExporter(), clock=clock))
    span_exporters = [] if is_disabled else _span_exporters(_names(environ, "TRACES"))
    return Exporters(
        registry=registry,
        instruments=instruments,
        meters=MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False),
        tracers=_tracers(span_exporters, resource),
    )


def _names(environ: Mapping[str, str], signal: str) -> list[str]:
    """The exporters chosen for a signal: by name, else OTLP where an endpoint is set."""
    chosen = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if chosen:
        return [name.strip() for name in chosen.split(",")]
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return ["otlp"] if any(environ.get(name) for name in endpoints) else []


def _span_exporters(names: Sequence[str]) -> list[SpanExporter]:
    makers = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}
    return [makers[name]() for name in names if name in makers]


def _tracers(span_exporters: Sequence[SpanExporter], resource: Resource) -> TracerProvider | None:
    if not span_exporters:
        return None
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in span_exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
