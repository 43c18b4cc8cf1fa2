"""Where telemetry goes: Prometheus always, OTLP where the standard OTEL_* variables say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Thread
from time import monotonic
from typing import Final
from urllib.parse import unquote, urlsplit

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry

from penstockd.clock import SystemClock
from penstockd.exporters.metric_export import CountedMetricExporter
from penstockd.exporters.metric_readers import SCOPE, ExportingReader, PrometheusReader
from penstockd.exporters.span_export import Spans, spans_to
from penstockd.exporters.variables import Ignored, Variables
from penstockd.metrics.instruments import Instruments

LONGEST_FLUSH = 2.0
"""Seconds that the end of the daemon waits for telemetry to be sent, however long its receivers take."""
_KNOWN: Final = {"METRICS": ("otlp", "prometheus", "none"), "TRACES": ("otlp", "console", "none")}
_PROTOCOL: Final = "http/protobuf"
"""What our exporters of OTLP speak."""
_EXEMPLARS: Final = {
    "trace_based": TraceBasedExemplarFilter(),
    "always_on": AlwaysOnExemplarFilter(),
    "always_off": AlwaysOffExemplarFilter(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """What the daemon measures with: `instruments` for every call, `meter` for what is rare or observed.

    `unknown` are the settings that name exporters, or protocols of theirs, which are not here, and `ignored` the others
    that cannot be used.
    """

    registry: CollectorRegistry
    instruments: Instruments
    meters: MeterProvider
    spans: Spans
    metric_exporter: CountedMetricExporter | None
    unknown: Sequence[str] = ()
    ignored: Sequence[Ignored] = ()

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


def exporters_from(environ: Mapping[str, str], *, version: str) -> Exporters:
    """Read the OTEL_* variables that say where telemetry goes; the SDK itself reads the rest of them."""
    registry, instruments, clock = CollectorRegistry(), Instruments(), SystemClock()
    variables = Variables(environ)
    is_disabled = variables.text("OTEL_SDK_DISABLED").lower() == "true"
    resource = _resource(variables, version)
    metrics, traces = _chosen(environ, "METRICS", variables), _chosen(environ, "TRACES", variables)
    readers: list[MetricReader] = [PrometheusReader(instruments, registry=registry, clock=clock)]
    is_exported = not is_disabled and "otlp" in metrics.names
    make = partial(CountedMetricExporter, timeout=variables.timeout("METRICS"))
    exporter = variables.made(make, "METRICS") if is_exported else None
    if exporter is not None:
        readers.append(ExportingReader(instruments, exporter=exporter, variables=variables, clock=clock))
    exemplars = _EXEMPLARS[variables.choice("OTEL_METRICS_EXEMPLAR_FILTER", _EXEMPLARS, "trace_based")]
    meters = MeterProvider(metric_readers=readers, resource=resource, exemplar_filter=exemplars, shutdown_on_exit=False)
    # It reads OTEL_SDK_DISABLED too, and would leave /metrics empty, which no alert tells from a daemon without calls.
    meters._disabled = False  # noqa: SLF001
    return Exporters(
        registry=registry,
        instruments=instruments,
        meters=meters,
        spans=spans_to([] if is_disabled else traces.names, variables, resource),
        metric_exporter=exporter,
        unknown=list(dict.fromkeys([*metrics.unknown, *traces.unknown])),
        ignored=variables.ignored,
    )


def _resource(variables: Variables, version: str) -> Resource:
    """Whose telemetry it is: ours, unless OTEL_RESOURCE_ATTRIBUTES, or above it OTEL_SERVICE_NAME, says otherwise."""
    pairs = [pair.partition("=") for pair in variables.text("OTEL_RESOURCE_ATTRIBUTES").split(",")]
    named = {name.strip(): unquote(value.strip()) for name, _, value in pairs if value.strip()}
    attributes = {"service.name": "penstockd", "service.version": version, **named}
    if name := variables.text("OTEL_SERVICE_NAME"):
        attributes["service.name"] = name
    return Resource.create(attributes)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The exporters of a signal that are here, and the settings that ask for others."""

    names: Sequence[str]
    unknown: Sequence[str]


def _chosen(environ: Mapping[str, str], signal: str, variables: Variables) -> _Chosen:
    names = _names(environ, signal)
    unknown = {name: f"OTEL_{signal}_EXPORTER={name}" for name in names if name not in _KNOWN[signal]}
    if "otlp" in names and (protocol := _other_protocol(environ, signal)):
        unknown["otlp"] = protocol
    known = [name for name in names if name not in unknown]
    if "otlp" in known and (endpoint := _no_url(environ, signal)):
        # Without its value, which may have a password: requests would repeat it in each of its errors.
        variables.ignore(endpoint, "nothing is exported: it must be a URL that begins with http:// or https://")
        known.remove("otlp")
    return _Chosen(known, list(unknown.values()))


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


def _no_url(environ: Mapping[str, str], signal: str) -> str | None:
    """The variable that names the endpoint of a signal, if that is no URL we can send to; the signal's own wins."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if endpoint := environ.get(name):
            return None if _is_url(endpoint) else name
    return None


def _is_url(endpoint: str) -> bool:
    try:
        url = urlsplit(endpoint)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
