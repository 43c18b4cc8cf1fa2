"""Traces and metrics as an OTLP receiver gets them."""

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from fakes.live_daemon import Daemons, Penstockd
from fakes.receiver import Receiver
from fakes.rpc import PROCESS, wire
from penstock.v1.agent_service_pb2 import ProcessRequest

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NAME = PROCESS.removeprefix("/")


async def start(daemons: Daemons, receiver: Receiver, **environ: str) -> Penstockd:
    """Start a daemon that exports to `receiver`, at once."""
    return await daemons.start(
        environ={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "50", **environ}
    )


async def test_a_span_continues_the_callers_trace(daemons: Daemons) -> None:
    """And the log's line of the call names both."""
    async with Receiver() as receiver:
        daemon = await start(daemons, receiver)

        async with wire(daemon.target) as client:
            traceparent = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
            await client.ask(PROCESS, ProcessRequest(input="hi", request_id="r-1"), metadata=traceparent)
        span = await receiver.span(NAME)

        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.kind) == (TRACE, PARENT, Span.SPAN_KIND_SERVER)
        attributes = {each.key: each.value.string_value for each in span.attributes}
        assert attributes["penstock.request_id"] == "r-1"
        assert attributes["rpc.response.status_code"] == "OK"
        line = await daemon.line("call finished")
        assert (line["trace_id"], line["span_id"]) == (TRACE, span.span_id.hex())
        await daemon.stop()


async def test_only_the_daemons_own_faults_are_errors(daemons: Daemons) -> None:
    """A caller's mistake is a status like any other."""
    async with Receiver() as receiver:
        daemon = await start(daemons, receiver)

        async with wire(daemon.target) as client:
            await client.ask(PROCESS, ProcessRequest(input="hi", agent="nobody"))
        span = await receiver.span(NAME)

        assert span.status.code == Status.STATUS_CODE_UNSET
        await daemon.stop()


async def test_what_is_waiting_is_sent_before_the_daemon_ends(daemons: Daemons) -> None:
    """The last call's span, and the metrics, under the service's name."""
    async with Receiver() as receiver:
        environ = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_SERVICE_NAME": "penstock-7"}
        daemon = await start(daemons, receiver, **environ)

        async with wire(daemon.target) as client:
            await client.ask(PROCESS, ProcessRequest(input="hi"))
        assert await daemon.stop() == 0

        assert [span.name for span in receiver.spans] == [NAME]
        assert "rpc.server.call.duration" in [metric.name for metric in receiver.metrics]
        resource = {each.key: each.value.string_value for each in receiver.resources[0].attributes}
        assert resource["service.name"] == "penstock-7"


async def test_a_receiver_that_is_gone_harms_no_call(daemons: Daemons) -> None:
    """Nor does it keep the daemon from ending."""
    async with Receiver() as receiver:
        url = receiver.url
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    daemon = await daemons.start(environ=environ)

    async with wire(daemon.target) as client:
        ended = await client.ask(PROCESS, ProcessRequest(input="hi"))

    assert ended.code.name == "OK"
    assert await daemon.stop() == 0
