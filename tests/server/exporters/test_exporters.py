"""Telemetry goes where the standard variables say."""

import pytest
from prometheus_client import generate_latest

from penstockd.exporters.exporters import Exporters, exporters

ENDPOINT = "http://127.0.0.1:1"


def made(**environ: str) -> Exporters:
    """The exporters of an environment; the test stops them."""
    return exporters(environ, version="1.2.3")


def test_prometheus_is_always_there() -> None:
    """With the service's name and version, and no traces."""
    it = made()
    it.meter.create_counter("seen").add(3, {"k": "v"})

    text = generate_latest(it.registry).decode()
    it.stop()

    assert 'seen_total{k="v"} 3.0' in text
    assert 'service_name="penstockd"' in text
    assert 'service_version="1.2.3"' in text
    assert it.spans.provider is None


@pytest.mark.parametrize(
    ("environ", "count"),
    [
        ({}, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}, 1),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ENDPOINT}, 1),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": ENDPOINT}, 0),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, 1),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, 2),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}, 0),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, 0),
    ],
)
def test_traces_go_where_they_are_wanted(environ: dict[str, str], count: int) -> None:
    """Chosen by name, else by an endpoint; nowhere when nobody asks."""
    it = made(**environ)

    assert len(it.spans.processors) == count
    assert (it.spans.provider is not None) is bool(count)
    it.stop()


def test_exports_of_metrics_that_do_not_arrive_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the last one, which is made at the end."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", ENDPOINT)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0.1")
    it, nowhere = made(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=ENDPOINT), made()
    it.meter.create_counter("seen").add(1)

    it.meters.force_flush()
    it.stop()
    nowhere.stop()

    assert (it.metrics_dropped, nowhere.metrics_dropped) == (2, 0)


def test_a_service_may_have_a_name_of_its_own() -> None:
    """As OTEL_SERVICE_NAME says."""
    it = made(OTEL_SERVICE_NAME="gateway")
    it.meter.create_counter("seen").add(1)

    assert 'service_name="gateway"' in generate_latest(it.registry).decode()
    it.stop()


def test_spans_carry_the_service() -> None:
    """Where there are spans."""
    it = made(OTEL_TRACES_EXPORTER="console")
    assert it.spans.provider

    assert it.spans.provider.resource.attributes["service.name"] == "penstockd"
    it.stop()


def test_an_exporter_that_nobody_knows_is_named() -> None:
    """Rather than nothing being sent in silence."""
    environ = {"OTEL_TRACES_EXPORTER": "zipkin,console", "OTEL_METRICS_EXPORTER": "prometheus"}

    assert exporters(environ, version="1").unknown == ["OTEL_TRACES_EXPORTER=zipkin"]


PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
OF_TRACES, OF_METRICS = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"


@pytest.mark.parametrize(
    ("environ", "exported", "unknown"),
    [
        ({PROTOCOL: "http/protobuf"}, (True, True), []),
        ({PROTOCOL: ""}, (True, True), []),
        ({PROTOCOL: "grpc"}, (False, False), [f"{PROTOCOL}=grpc"]),
        ({PROTOCOL: "http/json"}, (False, False), [f"{PROTOCOL}=http/json"]),
        ({PROTOCOL: "nonsense", OF_METRICS: "http/protobuf"}, (True, False), [f"{PROTOCOL}=nonsense"]),
        ({PROTOCOL: "http/protobuf", OF_TRACES: "grpc"}, (True, False), [f"{OF_TRACES}=grpc"]),
        ({OF_METRICS: "grpc"}, (False, True), [f"{OF_METRICS}=grpc"]),
        ({OF_METRICS: "grpc", "OTEL_METRICS_EXPORTER": "none"}, (False, True), []),
        ({PROTOCOL: "grpc", "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}, (False, False), []),
    ],
)
def test_otlp_by_another_protocol_than_ours_is_named(
    environ: dict[str, str], exported: tuple[bool, bool], unknown: list[str]
) -> None:
    """Rather than spoken to a port that expects it; the variable of a signal wins over that of both."""
    it = made(OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT, OTEL_EXPORTER_OTLP_TIMEOUT="0.1", **environ)
    it.stop()

    assert (it.metric_exporter is not None, bool(it.spans.processors)) == exported
    assert it.unknown == unknown


def test_other_exporters_of_a_signal_go_on_without_otlp() -> None:
    """What is known here is used."""
    it = made(OTEL_TRACES_EXPORTER="console,otlp", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    it.stop()

    assert len(it.spans.processors) == 1
    assert it.unknown == ["OTEL_EXPORTER_OTLP_PROTOCOL=grpc"]
