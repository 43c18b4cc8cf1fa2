"""Telemetry goes where the standard variables say."""

import pytest
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import generate_latest

from penstockd.exporters import Exporters, exporters

ENDPOINT = "http://127.0.0.1:1"


def made(**environ: str) -> Exporters:
    """The exporters of an environment; the test stops them."""
    return exporters(environ, version="1.2.3")


def span_exporters(it: Exporters) -> list[str]:
    """The kinds of exporters that get spans."""
    if it.tracers is None:
        return []
    processors = it.tracers._active_span_processor._span_processors  # noqa: SLF001 - the SDK does not show them
    return [
        type(processor.span_exporter).__name__ for processor in processors if isinstance(processor, BatchSpanProcessor)
    ]


def test_prometheus_is_always_there() -> None:
    """With the service's name and version, and no traces."""
    it = made()
    it.meter.create_counter("seen").add(3, {"k": "v"})

    text = generate_latest(it.registry).decode()
    it.stop()

    assert 'seen_total{k="v"} 3.0' in text
    assert 'service_name="penstockd"' in text
    assert 'service_version="1.2.3"' in text
    assert it.tracer is None


@pytest.mark.parametrize(
    ("environ", "kinds"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}, ["OTLPSpanExporter"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ENDPOINT}, ["OTLPSpanExporter"]),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": ENDPOINT}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ["OTLPSpanExporter"]),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ["ConsoleSpanExporter", "OTLPSpanExporter"]),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, []),
    ],
)
def test_traces_go_where_they_are_wanted(environ: dict[str, str], kinds: list[str]) -> None:
    """Chosen by name, else by an endpoint; nowhere when nobody asks."""
    it = made(**environ)

    assert span_exporters(it) == kinds
    assert (it.tracer is not None) is bool(kinds)
    it.stop()


def test_a_service_may_have_a_name_of_its_own() -> None:
    """As OTEL_SERVICE_NAME says."""
    it = made(OTEL_SERVICE_NAME="gateway")
    it.meter.create_counter("seen").add(1)

    assert 'service_name="gateway"' in generate_latest(it.registry).decode()
    it.stop()


def test_spans_carry_the_service() -> None:
    """Where there are spans."""
    it = made(OTEL_TRACES_EXPORTER="console")
    assert it.tracers

    assert it.tracers.resource.attributes["service.name"] == "penstockd"
    assert it.tracer
    it.stop()
