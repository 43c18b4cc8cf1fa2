"""Telemetry goes where the standard variables say."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import opentelemetry.environment_variables
import opentelemetry.sdk.environment_variables
import pytest
from prometheus_client import generate_latest

from penstockd.exporters.exporters import Exporters, exporters_from
from penstockd.exporters.variables import Variables

ENDPOINT = "http://127.0.0.1:1"


def made(**environ: str) -> Exporters:
    """The exporters of an environment; the test stops them."""
    return exporters_from(environ, version="1.2.3")


def settings_ignored(it: Exporters) -> list[str]:
    """The settings that cannot be used."""
    return [ignored.setting for ignored in it.ignored]


def test_prometheus_is_always_there() -> None:
    """With the service's name and version, and no traces."""
    it = made()
    it.meter.create_counter("seen").add(3, {"k": "v"})

    text = generate_latest(it.registry).decode()
    it.stop()

    assert 'seen_total{k="v"} 3.0' in text
    assert 'service_name="penstockd"' in text
    assert 'service_version="1.2.3"' in text
    assert it.spans.tracer is None


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
    assert (it.spans.tracer is not None) is bool(count)
    it.stop()


def test_exports_of_metrics_that_do_not_arrive_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the last one, which is made at the end."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", ENDPOINT)
    it = made(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_TIMEOUT="0.1")
    nowhere = made()
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
    assert it.spans.tracer

    assert it.spans.tracer.resource.attributes["service.name"] == "penstockd"
    it.stop()


def test_an_exporter_that_nobody_knows_is_named() -> None:
    """Rather than nothing being sent in silence."""
    it = made(OTEL_TRACES_EXPORTER="zipkin,console", OTEL_METRICS_EXPORTER="prometheus")
    it.stop()

    assert settings_ignored(it) == ["OTEL_TRACES_EXPORTER=zipkin"]


PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
OF_TRACES, OF_METRICS = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"


@pytest.mark.parametrize(
    ("environ", "exported", "ignored"),
    [
        ({PROTOCOL: "http/protobuf"}, (True, True), []),
        ({PROTOCOL: ""}, (True, True), []),
        ({PROTOCOL: "grpc"}, (False, False), [f"{PROTOCOL}=grpc"]),
        ({PROTOCOL: "http/json"}, (False, False), [f"{PROTOCOL}=http/json"]),
        ({PROTOCOL: "nonsense", OF_METRICS: "http/protobuf"}, (True, False), [f"{PROTOCOL}=nonsense"]),
        ({PROTOCOL: "http/protobuf", OF_TRACES: "grpc"}, (True, False), [f"{OF_TRACES}=grpc"]),
        ({PROTOCOL: "grpc", OF_TRACES: " "}, (False, False), [f"{PROTOCOL}=grpc"]),
        ({OF_METRICS: "grpc"}, (False, True), [f"{OF_METRICS}=grpc"]),
        ({OF_METRICS: "grpc", "OTEL_METRICS_EXPORTER": "none"}, (False, True), []),
        ({PROTOCOL: "grpc", "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}, (False, False), []),
    ],
)
def test_otlp_by_another_protocol_than_ours_is_named(
    environ: dict[str, str], exported: tuple[bool, bool], ignored: list[str]
) -> None:
    """Rather than spoken to a port that expects it; the variable of a signal wins over that of both."""
    it = made(OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT, OTEL_EXPORTER_OTLP_TIMEOUT="0.1", **environ)
    it.stop()

    assert (it.metric_exporter is not None, bool(it.spans.processors)) == exported
    assert settings_ignored(it) == ignored


def test_blanks_are_no_timeout() -> None:
    """What all signals have is used."""
    variables = Variables({"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": " ", "OTEL_EXPORTER_OTLP_TIMEOUT": "3"})

    assert variables.timeout("TRACES") == 3.0


@pytest.mark.parametrize(("text", "seconds"), [("0.5", 0.5), ("999", 999.0), ("1000", 1.0), ("10000", 10.0)])
def test_a_timeout_is_in_seconds_as_far_as_anybody_waits_so_long(text: str, seconds: float) -> None:
    """The SDK counts them, and OpenTelemetry's specification milliseconds."""
    assert Variables({"OTEL_EXPORTER_OTLP_TIMEOUT": text}).timeout("TRACES") == seconds


def test_blanks_are_an_endpoint(exporting: pytest.MonkeyPatch) -> None:
    """Of which nothing is known: the SDK would send there rather than to where all signals go."""
    exporting.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", " ")
    it = exporters_from(os.environ, version="1")
    it.stop()

    assert settings_ignored(it) == ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
    assert (it.spans.tracer, it.metric_exporter is None) == (None, False)


def test_other_exporters_of_a_signal_go_on_without_otlp() -> None:
    """What is known here is used."""
    it = made(OTEL_TRACES_EXPORTER="console,otlp", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    it.stop()

    assert len(it.spans.processors) == 1
    assert settings_ignored(it) == ["OTEL_EXPORTER_OTLP_PROTOCOL=grpc"]


def test_whose_telemetry_it_is_may_be_said_with_the_other_attributes() -> None:
    """The name of the service has a variable of its own, which wins."""
    attributes = "service.name=gate%20way, service.version=9,team=search,odd"
    it, named = (
        made(OTEL_RESOURCE_ATTRIBUTES=attributes, OTEL_TRACES_EXPORTER="console", **more)
        for more in ({}, {"OTEL_SERVICE_NAME": "own"})
    )
    assert it.spans.tracer
    assert named.spans.tracer

    said = it.spans.tracer.resource.attributes
    assert (said["service.name"], said["service.version"], said["team"]) == ("gate way", "9", "search")
    assert named.spans.tracer.resource.attributes["service.name"] == "own"
    it.stop()
    named.stop()


def test_metrics_stay_to_be_asked_for_where_the_sdk_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is about what is sent; without any series no alert would tell that something is wrong."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", " true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT)
    it = exporters_from(os.environ, version="1")
    it.meter.create_counter("seen").add(3)

    assert "seen_total 3.0" in generate_latest(it.registry).decode()
    assert (it.metric_exporter, it.spans.tracer) == (None, None)
    it.stop()


VARIABLES = sorted(
    value
    for module in (opentelemetry.environment_variables, opentelemetry.sdk.environment_variables)
    for value in vars(module).values()
    if isinstance(value, str) and value.startswith("OTEL_")
)
NONSENSE = ("", " ", "bogus", "-1", "0", "nan", "9" * 30, ",=,", "http://[", "/nowhere", "\udcff")


class Refuses(BaseHTTPRequestHandler):
    """Wants nothing of what it is sent; an exporter gives up at once, where it would try a dead port again."""

    def do_POST(self) -> None:
        """Say so."""
        self.send_error(HTTPStatus.BAD_REQUEST)

    def log_message(self, *_: object) -> None:
        """Say it to nobody else."""


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """Where a receiver listens that refuses everything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        serving = Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture
def exporting(monkeypatch: pytest.MonkeyPatch, refusing: str) -> pytest.MonkeyPatch:
    """The process's environment, in which everything is exported to one who refuses it."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", refusing)
    return monkeypatch


def measures(environ: Mapping[str, str]) -> bool:
    """Whether the daemon makes spans and shows metrics, in this environment and at the end too."""
    it = exporters_from(environ, version="1")
    trace = it.spans.tracing.begin("call", None, {"a": "b"})
    with trace or nullcontext():
        it.meter.create_counter("seen").add(3)
    shown = generate_latest(it.registry).decode()
    it.stop()
    return "seen_total 3.0" in shown


@pytest.mark.parametrize("name", VARIABLES)
def test_no_variable_keeps_the_daemon_from_measuring(exporting: pytest.MonkeyPatch, name: str) -> None:
    """Whether we read it or the SDK does."""
    exporting.setenv(name, "bogus")

    assert measures(os.environ)


@pytest.mark.parametrize("value", NONSENSE)
def test_no_value_keeps_the_daemon_from_measuring(exporting: pytest.MonkeyPatch, value: str) -> None:
    """Of all variables at once but those that say where everything goes."""
    for name in VARIABLES:
        if not name.endswith(("_EXPORTER", "_ENDPOINT", "_PROTOCOL", "_CREDENTIAL_PROVIDER", "_DISABLED")):
            exporting.setenv(name, value)

    assert measures(os.environ)


def test_no_variable_keeps_the_daemon_from_starting(tmp_path: Path) -> None:
    """Some are read where OpenTelemetry is imported, before anybody could catch what it raises."""
    environ = {**os.environ, **dict.fromkeys(VARIABLES, "bogus")}
    command = [sys.executable, "-c", "from penstockd.cli import main; main(['check'])"]

    checked = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "60000"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "soon", "30000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan", "10 s"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", "10 s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000", "5 s: it is taken for milliseconds"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1000", "1 s: it is taken for milliseconds"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "bogus", "trace_based"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-5", "2048"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "lots", "128"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", "128"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "9" * 30, "128"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "abc", "no limit"),
        ("OTEL_PROPAGATORS", "b3", "tracecontext is what is known here"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    exporting: pytest.MonkeyPatch, name: str, value: str, instead: str
) -> None:
    """With what is used in its place."""
    exporting.setenv(name, value)
    it = exporters_from(os.environ, version="1")
    it.stop()

    assert [(each.setting, each.instead) for each in it.ignored] == [(f"{name}={value}", instead)]


def test_an_exporter_that_cannot_be_made_is_left_out(exporting: pytest.MonkeyPatch) -> None:
    """As where credentials come from something that is not installed."""
    exporting.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "cloud")
    it = exporters_from(os.environ, version="1")
    it.stop()

    (ignored,) = it.ignored
    assert ignored.setting == "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER=cloud"
    assert ignored.instead.startswith("nothing is exported: Requested component 'cloud' not found")
    assert (it.spans.tracer, it.metric_exporter is None) == (None, False)


@pytest.mark.parametrize(
    "endpoint",
    [
        "user:hidden@host:9",
        "htp://user:hidden@host",
        "http:/user:hidden@host",
        "http://user:hidden@host:port",
        "http://[",
    ],
)
def test_an_endpoint_that_is_no_url_is_named_without_its_password(endpoint: str) -> None:
    """Once, rather than with each export that fails."""
    it = made(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    it.stop()

    assert (it.metric_exporter, it.spans.tracer) == (None, None)
    (ignored,) = it.ignored
    assert ignored.setting == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert "hidden" not in ignored.instead


def test_an_endpoint_of_a_signal_stands_above_that_of_both() -> None:
    """Though the other be no URL."""
    it = made(OTEL_EXPORTER_OTLP_ENDPOINT="host:9", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=ENDPOINT)
    it.stop()

    assert (it.metric_exporter is None, it.spans.tracer is None) == (True, False)
