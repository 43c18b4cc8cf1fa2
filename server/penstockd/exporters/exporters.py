"""Where telemetry goes: Prometheus always, OTLP where the standard OTEL_* variables say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Final

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry

from penstockd.clock import SystemClock
from penstockd.exporters.metric_export import CountedExporter
from penstockd.exporters.metric_readers import SCOPE, ExportingReader, PrometheusReader
from penstockd.exporters.span_export import Spans, spans
from penstockd.metrics.instruments import Instruments

LONGEST_FLUSH = 2.0
"""Seconds that the end of the daemon waits for telemetry to be sent, however long its receivers take."""
_KNOWN: Final = {"METRICS": ("otlp", "prometheus", "none"), "TRACES": ("otlp", "console", "none")}
_PROTOCOL: Final = "http/protobuf"
"""What our exporters of OTLP speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """What the daemon measures with: `instruments` for every call, `meter` for what is rare or observed.

    `unknown` are the settings that name exporters, or protocols of theirs, which are not here.
    """

    registry: CollectorRegistry
    instruments: Instruments
    meters: MeterProvider
    spans: Spans
    metric_exporter: CountedExporter | None
    unknown: Sequence[str] = ()

    @property
    def meter(self) -> Meter:
        """Makes instruments."""
        return self.meters.get_meter(SCOPE)

    @property
    def metrics_dropped(self) -> int:
        """How many exports of metrics did not arrive."""
        return self.metric_exporter.dropped if self.metric_exporter else 0

    def stop(self) -> None:
        """Send what is waiting, as far as that is done in time; what still hangs then ends with the process."""
        ending = [Thread(target=stop, daemon=True) for stop in (self.meters.shutdown, self.spans.stop)]
        deadline = monotonic() + LONGEST_FLUSH
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join(max(0.0, deadline - monotonic()))


def exporters(environ: Mapping[str, str], *, version: str) -> Exporters:
    """Read the OTEL_* variables that say where telemetry goes; the SDK itself reads the rest of them."""
    registry, instruments, clock = CollectorRegistry(), Instruments(), SystemClock()
    is_disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    resource = Resource.create(
        {"service.name": environ.get("OTEL_SERVICE_NAME") or "penstockd", "service.version": version}
    )
    metrics, traces = _chosen(environ, "METRICS"), _chosen(environ, "TRACES")
    readers: list[MetricReader] = [PrometheusReader(instruments, registry=registry, clock=clock)]
    exporter = CountedExporter() if not is_disabled and "otlp" in metrics.names else None
    if exporter is not None:
        readers.append(ExportingReader(instruments, exporter=exporter, clock=clock))
    return Exporters(
        registry=registry,
        instruments=instruments,
        meters=MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False),
        spans=spans([] if is_disabled else traces.names, environ, resource),
        metric_exporter=exporter,
        unknown=list(dict.fromkeys([*metrics.unknown, *traces.unknown])),
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The exporters of a signal that are here, and the settings that ask for others."""

    names: Sequence[str]
    unknown: Sequence[str]


def _chosen(environ: Mapping[str, str], signal: str) -> _Chosen:
    names = _names(environ, signal)
    unknown = {name: f"OTEL_{signal}_EXPORTER={name}" for name in names if name not in _KNOWN[signal]}
    if "otlp" in names and (protocol := _other_protocol(environ, signal)):
        unknown["otlp"] = protocol
    return _Chosen([name for name in names if name not in unknown], list(unknown.values()))


def _names(environ: Mapping[str, str], signal: str) -> list[str]:
    """The exporters chosen for a signal: by name, else OTLP where an endpoint is set."""
    chosen = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if chosen:
        return [name.strip() for name in chosen.split(",")]
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return ["otlp"] if any(environ.get(name) for name in endpoints) else []


def _other_protocol(environ: Mapping[str, str], signal: str) -> str | None:
    """The setting that wants OTLP of a signal by a protocol we do not speak, if one does; the signal's own wins."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := environ.get(name, "").strip():
            return None if protocol.lower() == _PROTOCOL else f"{name}={protocol}"
    return None
