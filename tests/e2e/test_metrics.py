"""Metrics as a real Prometheus and a real OpenTelemetry Collector have them: they equal the calls that were made."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket

import aiohttp
import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from prometheus_client.parser import text_string_to_metric_families

from fakes.providers import OPENAI
from fakes.rpc import PROCESS, STREAM, wire
from fakes.stage import model, well
from fakes.upstream import HANG, Received, Script, Upstream, response
from peers.collector import collector
from peers.live_daemon import PATIENCE, Daemons, Penstockd
from peers.prometheus import prometheus
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstockd.exporters.exporters import LONGEST_FLUSH

HANGS, FAILS = "hang", "fail"
"""What a test asks for to get it."""
CALLS = {
    ("Process", "OK"): 3,
    ("ProcessStream", "OK"): 2,
    ("Process", "NOT_FOUND"): 1,
    ("Process", "UNAVAILABLE"): 1,
    ("ProcessStream", "CANCELLED"): 1,
}
ATTEMPTS = {"": 5, "server_error": 1, "cancelled": 1}
PRICE = {"input": 2, "cached_input": 1, "cache_write": 2, "output": 5}
COST = 5 * (7 * 2 + 5 * 1 + 11 * 5) / 1e6
"""USD for five answers of the usage that OPENAI reports."""
INPUT, OUTPUT = 5 * OPENAI.usage.input, 5 * OPENAI.usage.output


def answers(request: Received) -> Script:
    """What the model does with a request."""
    if HANGS.encode() in request.body:
        return (HANG,)
    return (response(b"{}", status=500),) if FAILS.encode() in request.body else well(request)


async def start(daemons: Daemons, upstream: Upstream, **environ: str) -> Penstockd:
    """Start a daemon with one model, which is asked once a call."""
    upstream.respond(answers)
    return await daemons.start(
        environ=environ,
        models={"fast": {**model(upstream.url), "price": PRICE}},
        agents={"default": {"route": {"models": ["fast"]}}},
        retry={"max_attempts": 1},
    )


async def make_calls(daemon: Penstockd, upstream: Upstream) -> None:
    """Make the calls of CALLS, and return once the daemon has seen their ends."""
    async with wire(daemon.target) as client:
        for path, count in ((PROCESS, 3), (STREAM, 2)):
            for _ in range(count):
                await client.ask(path, ProcessRequest(input="hi"))
        await client.ask(PROCESS, ProcessRequest(input="hi", agent="nobody"))
        await client.ask(PROCESS, ProcessRequest(input=FAILS))
        call = client.start(STREAM, ProcessRequest(input=HANGS).SerializeToString())
        await upstream.received(7)
        call.cancel()
        await upstream.abandoned()
        await daemon.line("call finished", count=sum(CALLS.values()))


async def test_prometheus_counts_what_was_called(daemons: Daemons, upstream: Upstream, tmp_path: Path) -> None:
    """Calls, attempts, tokens and money, by what came of them."""
    daemon = await start(daemons, upstream)
    await make_calls(daemon, upstream)

    async with prometheus(tmp_path, daemon.admin.removeprefix("http://")) as watching:

        async def by(name: str, *labels: str) -> dict[tuple[str, ...], float]:
            return {
                tuple(found["metric"].get(label, "").rpartition("/")[2] for label in labels): float(found["value"][1])
                for found in await watching.query(name)
            }

        ended = await by("rpc_server_call_duration_seconds_count", "rpc_method", "rpc_response_status_code")
        asked = await by("gen_ai_client_operation_duration_seconds_count", "error_type")
        tokens = await by("gen_ai_client_token_usage_sum", "gen_ai_token_type")
        spend = await by('penstock_spend_usd_total{penstock_wasted="false"}', "penstock_model", "penstock_tenant")
        chunks = await by("gen_ai_client_operation_time_to_first_chunk_seconds_count", "gen_ai_request_model")
        heard = await by("penstock_call_first_content_seconds_count", "rpc_method")
        overhead = await by("penstock_overhead_seconds_count", "rpc_method")
        state = await by("penstock_circuit_state == 1", "penstock_model", "penstock_state")
        in_flight = await by("penstock_calls_in_flight + penstock_model_in_flight", "penstock_model")

    assert ended == CALLS
    assert asked == {(reason,): count for reason, count in ATTEMPTS.items()}
    # The attempt that was cancelled is charged the input that it was sent, by our estimate.
    assert tokens["output",] == OUTPUT
    assert INPUT < tokens["input",] < INPUT + 20
    assert spend == {("fast", "default"): pytest.approx(COST)}
    assert chunks == {("some",): 2}
    assert heard == {("Process",): 3, ("ProcessStream",): 2}
    assert overhead == {("Process",): 5, ("ProcessStream",): 3}
    assert state == {("fast", "closed"): 1}
    assert set(in_flight.values()) <= {0}
    assert await daemon.stop() == 0


async def test_a_collector_gets_the_same(daemons: Daemons, upstream: Upstream) -> None:
    """All of it, the SDK's own as well as ours, before the daemon ends."""
    async with collector() as collecting:
        daemon = await start(daemons, upstream, OTEL_EXPORTER_OTLP_ENDPOINT=collecting.url)
        await make_calls(daemon, upstream)
        assert await daemon.stop() == 0

        metrics = {metric.name: metric for metric in collecting.received.metrics}

    calls = {
        (labels(point)["rpc.method"].rpartition("/")[2], labels(point)["rpc.response.status_code"]): point.count
        for point in metrics["rpc.server.call.duration"].histogram.data_points
    }
    attempts = metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert calls == CALLS
    assert {labels(point).get("error.type", ""): point.count for point in attempts} == ATTEMPTS
    assert spent(metrics["penstock.spend"]) == pytest.approx(COST)
    assert metrics["penstock.models.usable"].gauge.data_points[0].as_int == 1
    assert metrics["penstock.telemetry.dropped"].sum.is_monotonic


def labels(point: HistogramDataPoint | NumberDataPoint) -> Mapping[str, str]:
    """The attributes of a point."""
    return {each.key: each.value.string_value for each in point.attributes}


def spent(metric: Metric) -> float:
    """What was spent on whole answers."""
    points = metric.sum.data_points
    return sum(point.as_double for point in points if labels(point)["penstock.wasted"] == "false")


@contextmanager
def black_hole() -> Iterator[str]:
    """A port whose connections are never made: its queue is full, and nobody takes from it."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address: tuple[str, int] = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket())
            waiting.setblocking(False)  # noqa: FBT003 - the standard library's
            waiting.connect_ex(address)
        yield f"http://{address[0]}:{address[1]}"


@contextmanager
def nobody() -> Iterator[str]:
    """A port where nobody listens."""
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["refuses", "swallows", "hangs"])
async def test_a_collector_that_is_ill_touches_no_call_and_no_drain(daemons: Daemons, kind: str) -> None:
    """What it does not get is counted, and in the end nobody waits for it for long."""
    with nobody() as refusing, black_hole() as swallowing:
        async with Upstream() as hanging:
            url = {"refuses": refusing, "swallows": swallowing, "hangs": hanging.url}[kind]
            daemon = await daemons.start(
                environ={
                    "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "1",
                    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1",
                    "OTEL_METRIC_EXPORT_INTERVAL": "200",
                    "OTEL_BSP_SCHEDULE_DELAY": "50",
                }
            )
            async with wire(daemon.target) as client:
                started = loop_time()
                codes = {(await client.ask(PROCESS, ProcessRequest(input="hi"))).code.name for _ in range(50)}
                seconds = loop_time() - started
            dropped = await until_dropped(daemon, "metrics", "spans")
            draining = loop_time()
            code = await daemon.stop()

            assert (codes, code) == ({"OK"}, 0)
            assert seconds < 5
            assert dropped["spans"] >= 1
            assert loop_time() - draining < LONGEST_FLUSH + 2


async def test_a_receiver_that_takes_its_time_does_not_hold_up_the_end(daemons: Daemons) -> None:
    """However long its timeout: here nothing was ever lost, for nothing was given up."""
    async with Upstream() as hanging:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": hanging.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        daemon = await daemons.start(environ=environ)
        async with wire(daemon.target) as client:
            await client.ask(PROCESS, ProcessRequest(input="hi"))

        draining = loop_time()
        assert await daemon.stop() == 0
        assert loop_time() - draining < LONGEST_FLUSH + 2


def loop_time() -> float:
    """Seconds since some moment."""
    return asyncio.get_running_loop().time()


async def until_dropped(daemon: Penstockd, *signals: str) -> Mapping[str, float]:
    """How much of each signal was lost, once something of all of these was."""
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{daemon.admin}/metrics") as answer:
                dropped = counted(await answer.text(), "penstock_telemetry_dropped_total", "penstock_signal")
            if all(dropped[signal] for signal in signals):
                return dropped
            await asyncio.sleep(0.1)


def counted(text: str, name: str, label: str) -> Mapping[str, float]:
    """The samples of a metric by one of its labels."""
    samples: Sequence[tuple[str, Mapping[str, str], float]] = [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    return {labels[label]: value for sample, labels, value in samples if sample == name}
