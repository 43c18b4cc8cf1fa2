"""Traces as a real OpenTelemetry Collector gets them from a real daemon."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from fakes import answers
from fakes.models import openai
from fakes.receiver import Receiver
from fakes.rpc import PROCESS, STREAM, wire
from fakes.upstream import CLOSE, HANG, LAST_CHUNK, STREAM_HEAD, Upstream, chunk, response, stream
from peers.collector import Collector, collector
from peers.live_daemon import NOTHING, Daemons, Line, Penstockd
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstockd.usage import Usage

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
NAME, STREAM_NAME = PROCESS.removeprefix("/"), STREAM.removeprefix("/")
UNSET, ERROR = Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR
USED = Usage(uncached_input=10, cached_input=4, output=5)
EVENTS = answers.openai_events(["Once", " upon"], USED)


@pytest.fixture
async def collected() -> AsyncIterator[Collector]:
    """A collector of this test's own."""
    async with collector() as it:
        yield it


async def start(
    daemons: Daemons,
    to: Collector,
    environ: Mapping[str, str] = NOTHING,
    config: Mapping[str, object] = NOTHING,
) -> Penstockd:
    """Start a daemon that exports to the collector, at once."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": to.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    return await daemons.start(environ={**variables, **environ}, **config)


def pool(*upstreams: Upstream) -> Mapping[str, object]:
    """One agent whose models are these upstreams, in this order."""
    names = [f"m{number}" for number in range(len(upstreams))]
    price = {"input": 1, "output": 2}
    return {
        "models": {
            name: openai(upstream, price=price, model=f"{name}-up")
            for name, upstream in zip(names, upstreams, strict=True)
        },
        "agents": {"support": {"instructions": "Be kind.", "route": {"models": names}}},
        "default_agent": "support",
        "retry": {"base_delay": "1ms"},
        "tenants": {"default": {"limits": [{"per": "tenant", "requests": "1000/s"}]}},
    }


def attributes(span: Span) -> Mapping[str, object]:
    """A span's attributes as plain values."""
    values: dict[str, object] = {}
    for each in span.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind or "string_value")
        values[each.key] = [item.string_value for item in value.values] if kind == "array_value" else value
    return values


def named(spans: Sequence[Span], name: str) -> Span:
    """The one span of that name."""
    (found,) = [span for span in spans if span.name == name]
    return found


def rows(state: Path, request_id: str) -> list[dict[str, object]]:
    """What the ledger has of a request."""
    with closing(sqlite3.connect(state / "ledger.db")) as ledger:
        ledger.row_factory = sqlite3.Row
        found = ledger.execute("SELECT * FROM attempts WHERE request_id = ? ORDER BY attempt", (request_id,))
        return [dict(row) for row in found]


def within(span: Span, parent: Span) -> bool:
    """Whether `span` is a child of `parent`."""
    return (span.trace_id, span.parent_span_id) == (parent.trace_id, parent.span_id)


async def test_a_request_id_leads_from_the_log_to_the_trace_to_the_ledger(
    daemons: Daemons, collected: Collector, tmp_path: Path
) -> None:
    """One call that took two models: every number is the same everywhere."""
    state = tmp_path / "state"
    async with Upstream() as broken, Upstream() as well:
        broken.answer(response(b"{}", status=500))
        well.answer(response(answers.openai_answer("hello", USED)))
        daemon = await start(daemons, collected, {"PENSTOCK_STATE_DIR": str(state)}, pool(broken, well))
        async with wire(daemon.target) as client:
            ask = ProcessRequest(input="hi", request_id="r-1")
            await client.ask(PROCESS, ask, metadata=TRACEPARENT)
        line = await daemon.line("call finished", request_id="r-1")
        await daemon.stop()

    spans = [span for span in collected.received.spans if span.trace_id.hex() == line["trace_id"]]
    server = named(spans, NAME)
    agent = named(spans, "invoke_agent support")
    failed, answered = named(spans, "chat m0-up"), named(spans, "chat m1-up")
    assert (server.trace_id.hex(), server.parent_span_id.hex(), server.kind) == (TRACE, PARENT, Span.SPAN_KIND_SERVER)
    assert server.span_id.hex() == line["span_id"]
    assert [event.name for event in server.events] == ["penstock.admitted"]
    assert within(agent, server)
    assert [within(span, agent) for span in (failed, answered)] == [True, True]
    assert (failed.kind, failed.status.code, attributes(failed)["error.type"]) == (
        Span.SPAN_KIND_CLIENT,
        ERROR,
        "server_error",
    )

    known = attributes(server)
    assert known["penstock.request_id"] == "r-1"
    assert known["penstock.call_id"] == line["call_id"]
    first, second = rows(state, "r-1")
    assert {first["call_id"], second["call_id"]} == {line["call_id"]}
    assert (first["status"], second["status"]) == ("failed", "ok")
    told = attributes(answered)
    assert (told["gen_ai.response.model"], told["gen_ai.response.finish_reasons"]) == ("gpt", ["stop"])
    assert (told["penstock.attempt"], told["penstock.retry.reason"]) == (second["attempt"], "server_error")
    assert told["gen_ai.usage.input_tokens"] == line["input_tokens"] == USED.input
    assert told["gen_ai.usage.cache_read.input_tokens"] == second["cached_input"] == USED.cached_input
    assert told["gen_ai.usage.output_tokens"] == line["output_tokens"] == second["output"] == USED.output
    assert told["penstock.cost_nanousd"] == line["cost_nanousd"] == second["cost_nanousd"]
    assert [(each["model"], each["reason"]) for each in line["attempts"]] == [("m0", "server_error"), ("m1", "")]


async def test_every_ending_has_its_status(daemons: Daemons, collected: Collector, upstream: Upstream) -> None:
    """A stream, one that breaks, one whose caller leaves, a mistake of the caller's, and one of ours."""
    daemon = await start(daemons, collected, config={**pool(upstream), "retry": {"max_attempts": 1}})
    async with wire(daemon.target) as client:
        upstream.answer(*stream(*EVENTS))
        await client.ask(STREAM, ProcessRequest(input="1", request_id="whole"))
        upstream.answer(STREAM_HEAD, chunk(EVENTS[1]), CLOSE)
        await client.ask(STREAM, ProcessRequest(input="2", request_id="broken"))
        upstream.answer(STREAM_HEAD, chunk(EVENTS[1]), HANG)
        call = client.start(STREAM, ProcessRequest(input="3", request_id="left").SerializeToString())
        await call.read()
        call.cancel()
        await daemon.line("call finished", request_id="left")
        await client.ask(PROCESS, ProcessRequest(input="4", request_id="wrong", agent="nobody"))
        upstream.answer(response(b"{}", status=500))
        await client.ask(PROCESS, ProcessRequest(input="5", request_id="failed"))
    await daemon.stop()

    spans = collected.received.spans
    servers = {name: server_of(spans, name) for name in ("whole", "broken", "left", "wrong", "failed")}
    ended = {
        name: (server.name, attributes(server)["rpc.response.status_code"], server.status.code)
        for name, server in servers.items()
    }
    assert ended == {
        "whole": (STREAM_NAME, "OK", UNSET),
        "broken": (STREAM_NAME, "UNAVAILABLE", ERROR),
        "left": (STREAM_NAME, "CANCELLED", UNSET),
        "wrong": (NAME, "NOT_FOUND", UNSET),
        "failed": (NAME, "UNAVAILABLE", ERROR),
    }
    chats = {request_id: chat_of(spans, request_id) for request_id in ended}
    assert {name: chat and (chat.status.code, attributes(chat).get("error.type")) for name, chat in chats.items()} == {
        "whole": (UNSET, None),
        "broken": (ERROR, "truncated"),
        "left": (UNSET, None),
        "wrong": None,
        "failed": (ERROR, "server_error"),
    }


async def test_who_joins_is_linked_to_whose_work_it_is(
    daemons: Daemons, collected: Collector, upstream: Upstream
) -> None:
    """The joined call has no attempt of its own; a hit has neither, and says so."""
    go_on = asyncio.Event()
    upstream.answer(STREAM_HEAD, chunk(EVENTS[1]), go_on, *map(chunk, EVENTS[2:]), LAST_CHUNK)
    daemon = await start(daemons, collected, config={**pool(upstream), "cache": {"enabled": True}})
    async with wire(daemon.target) as client:
        first = client.start(STREAM, ProcessRequest(input="x", request_id="first").SerializeToString())
        await first.read()
        second = client.start(STREAM, ProcessRequest(input="x", request_id="second").SerializeToString())
        await second.read()
        go_on.set()
        lines = [await daemon.line("call finished", request_id=name) for name in ("first", "second")]
        await client.ask(PROCESS, ProcessRequest(input="x", request_id="third"))
    lines.append(await daemon.line("call finished", request_id="third"))
    await daemon.stop()

    spans = collected.received.spans
    leader, joined, hit = (server_of(spans, name) for name in ("first", "second", "third"))
    assert [(link.trace_id, link.span_id) for link in joined.links] == [(leader.trace_id, leader.span_id)]
    assert [len(leader.links), len(hit.links)] == [0, 0]
    assert [cache_of(span) for span in (leader, joined, hit)] == [["miss"], ["miss", "coalesced"], ["hit"]]
    assert [span.trace_id for span in spans if span.name == "chat m0-up"] == [leader.trace_id]
    assert [line["cache"] for line in lines] == ["miss", "coalesced", "hit"]
    assert all(line["first_content_ms"] > 0 for line in lines)


async def test_a_call_that_is_not_sampled_leaves_no_span(daemons: Daemons, collected: Collector) -> None:
    """The log names its caller's trace all the same; one whose caller samples it is sampled here."""
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    daemon = await start(daemons, collected, environ)
    async with wire(daemon.target) as client:
        await client.ask(PROCESS, ProcessRequest(input="hi", request_id="root"))
        unsampled = (("traceparent", f"00-{TRACE}-{PARENT}-00"),)
        await client.ask(PROCESS, ProcessRequest(input="hi", request_id="unsampled"), metadata=unsampled)
        await client.ask(PROCESS, ProcessRequest(input="hi", request_id="sampled"), metadata=TRACEPARENT)
    root, unseen, seen = [
        await daemon.line("call finished", request_id=name) for name in ("root", "unsampled", "sampled")
    ]
    await daemon.stop()

    assert {attributes(span).get("penstock.request_id", "sampled") for span in collected.received.spans} == {"sampled"}
    assert ids(root) == (None, None)
    assert ids(unseen) == (TRACE, None)
    assert ids(seen)[0] == TRACE
    assert ids(seen)[1] is not None


async def test_prompts_are_on_spans_only_where_the_operator_says_so(
    daemons: Daemons, collected: Collector, upstream: Upstream
) -> None:
    """By the variable of the conventions."""
    upstream.answer_always(response(answers.openai_answer("the-output")))
    capture = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    for environ in ({}, capture):
        daemon = await start(daemons, collected, environ, pool(upstream))
        async with wire(daemon.target) as client:
            await client.ask(PROCESS, ProcessRequest(input="the-prompt"))
        await daemon.stop()

    silent, open_ = [str(span) for span in collected.received.spans if span.name == "chat m0-up"]
    assert ("the-prompt" in silent, "the-output" in silent) == (False, False)
    assert ("the-prompt" in open_, "the-output" in open_, "Be kind." in open_) == (True, True, True)


async def test_what_is_waiting_is_sent_before_the_daemon_ends(daemons: Daemons, collected: Collector) -> None:
    """The last call's spans, and the metrics, under the service's name."""
    environ = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_SERVICE_NAME": "penstock-7"}
    daemon = await start(daemons, collected, environ)

    async with wire(daemon.target) as client:
        await client.ask(PROCESS, ProcessRequest(input="hi"))
    assert await daemon.stop() == 0

    received = collected.received
    assert {span.name for span in received.spans} == {NAME, "invoke_agent default", "chat echo"}
    assert "rpc.server.call.duration" in [metric.name for metric in received.metrics]
    resource = {each.key: each.value.string_value for each in received.resources[0].attributes}
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


def server_of(spans: Sequence[Span], request_id: str) -> Span:
    """The server span of a request."""
    (found,) = [span for span in spans if attributes(span).get("penstock.request_id") == request_id]
    return found


def chat_of(spans: Sequence[Span], request_id: str) -> Span | None:
    """The span of the one attempt that a request took, if it took any."""
    trace_id = server_of(spans, request_id).trace_id
    found = [span for span in spans if span.trace_id == trace_id and span.name.startswith("chat ")]
    assert len(found) <= 1
    return found[0] if found else None


def cache_of(span: Span) -> list[str]:
    """What the cache had for a call, by the events on its span."""
    return [event.attributes[0].value.string_value for event in span.events if event.name == "penstock.cache"]


def ids(line: Line) -> tuple[object, object]:
    """The trace and span that a line names."""
    return line.get("trace_id"), line.get("span_id")
