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
_NOT_HERE: Final = "nothing is exported by what is not known here"
_EXEMPLARS: Final = {
    "trace_based": TraceBasedExemplarFilter(),
    "always_on": AlwaysOnExemplarFilter(),
    "always_off": AlwaysOffExemplarFilter(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """What the daemon measures with: `instruments` for every call, `meter` for what is rare or observed.

    `ignored` are the settings that cannot be used.
    """

    registry: CollectorRegistry
    instruments: Instruments
    meters: MeterProvider
    spans: Spans
    metric_exporter: CountedMetricExporter | None
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
    metrics, traces = _chosen("METRICS", variables), _chosen("TRACES", variables)
    readers: list[MetricReader] = [PrometheusReader(instruments, registry=registry, clock=clock)]
    is_exported = not is_disabled and "otlp" in metrics
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
        spans=spans_to([] if is_disabled else traces, variables, resource),
        metric_exporter=exporter,
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


def _chosen(signal: str, variables: Variables) -> list[str]:
    """The exporters of a signal: by name, else OTLP where an endpoint is set; without those that cannot be had."""
    setting = f"OTEL_{signal}_EXPORTER"
    default = "otlp" if variables.raw(variables.of(signal, "ENDPOINT")) else "none"
    names = [name.strip() for name in (variables.text(setting) or default).split(",")]
    for name in names:
        if name not in _KNOWN[signal]:
            variables.ignore(f"{setting}={name}", _NOT_HERE)
    return [name for name in names if name in _KNOWN[signal] and (name != "otlp" or _has_otlp(signal, variables))]


def _has_otlp(signal: str, variables: Variables) -> bool:
    """Whether OTLP of a signal is wanted by the protocol that we speak, and to where we can send it."""
    setting = variables.of(signal, "PROTOCOL")
    protocol = variables.text(setting)
    if protocol and protocol.lower() != _PROTOCOL:
        variables.ignore(f"{setting}={protocol}", _NOT_HERE)
        return False
    setting = variables.of(signal, "ENDPOINT")
    endpoint = variables.raw(setting)
    if endpoint and not _is_url(endpoint):
        # Without its value, which may have a password: requests would repeat it in each of its errors.
        variables.ignore(setting, "nothing is exported: it must be a URL that begins with http:// or https://")
        return False
    return True


def _is_url(endpoint: str) -> bool:
    try:
        url = urlsplit(endpoint)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
