"""Spans are encoded as the SDK encodes them."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from penstockd.exporters.otlp_spans import LONGEST_KEY, SHORT, OtlpSpans, _common, encoded
from penstockd.span import Span, Tracer

STATE = TraceState([("one", "1"), ("other", "2")])
REMOTE = SpanContext(1 << 100, 7, is_remote=True, trace_flags=TraceFlags(1), trace_state=STATE)


class Word(StrEnum):
    """A text that is an enum's."""

    HIT = "hit"


class Scene:
    """A tracer, and the spans of it that have ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        limits = SpanLimits(max_span_attributes=12, max_events=2)
        resource = Resource({"service.name": "it", "service.version": "1"}, "https://schema")
        self._tracer = Tracer(self.spans.append, resource=resource, scope="test", limits=limits)

    def begin(self, *, kind: SpanKind = SpanKind.INTERNAL, parent: SpanContext | None = None) -> Span:
        """Begin a span."""
        state = parent.trace_state if parent else None
        return self._tracer.begin("it", kind, {"first": 1}, trace_id=1 << 100, parent=parent, state=state)


@pytest.fixture
def scene() -> Scene:
    """One whose first span has ended, by which it is known whose all the others are."""
    it = Scene()
    it.begin().end()
    return it


def texts(count: int) -> Mapping[str, str]:
    """Attributes."""
    return {f"a{number}": "text" for number in range(count)}


def assert_alike(spans: Sequence[ReadableSpan]) -> None:
    """What is sent is what the SDK would send."""
    data = encoded(spans)
    assert data is not None
    assert ExportTraceServiceRequest.FromString(data) == encode_spans(spans)


VALUES = ["", "text", "x" * SHORT, "x" * (SHORT + 1), "ü€", Word.HIT, True, False, 0, 1, -1, 127, 128, 2**63 - 1]
MORE = [0.0, 1.0, 1.5, 1e300, (), ("stop",), ("stop", "length")]


@pytest.mark.parametrize("value", [*VALUES, *MORE], ids=repr)
def test_values_are_of_their_kinds(scene: Scene, value: Any) -> None:  # noqa: ANN401
    """One and True and 1.0 are three, whichever was first."""
    for _ in range(2):
        span = scene.begin()
        span.put({"it": value})
        span.end()

    assert_alike(scene.spans)


def test_half_a_surrogate_pair_is_a_question_mark(scene: Scene) -> None:
    """Wherever an agent says it; the spans beside are sent as they are."""
    half = "cut \ud83d"
    span = scene.begin()
    span.update_name(half)
    span.put({"text": half, half: "key", "texts": (half, "whole"), "word": (half,)})
    span.note(half, {"of": half})
    span.set_status(Status(StatusCode.ERROR, half))
    span.end()

    data = encoded(scene.spans)

    assert data is not None
    [of_resource] = ExportTraceServiceRequest.FromString(data).resource_spans
    first, second = of_resource.scope_spans[0].spans
    said = {each.key: each.value for each in second.attributes}
    assert first.name == "it"
    assert (second.name, second.status.message, second.events[0].name) == ("cut ?", "cut ?", "cut ?")
    assert (said["text"].string_value, said["cut ?"].string_value) == ("cut ?", "key")
    assert [each.string_value for each in said["texts"].array_value.values] == ["cut ?", "whole"]
    assert [each.string_value for each in said["word"].array_value.values] == ["cut ?"]


def test_kinds_parents_states_and_endings_are_told(scene: Scene) -> None:
    """A parent elsewhere is told from one here."""
    for kind in (SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL):
        outer = scene.begin(kind=kind, parent=REMOTE)
        inner = scene.begin(kind=kind, parent=outer.get_span_context())
        inner.set_status(Status(StatusCode.ERROR, "because"))
        inner.end()
        outer.set_status(Status(StatusCode.OK))
        outer.end()

    assert_alike(scene.spans)


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 3_000_000])
def test_what_is_long_has_its_length(scene: Scene, size: int) -> None:
    """Of one byte or of several, wherever it stands."""
    span = scene.begin()
    span.put({"it": "x" * size})
    span.note("n" * size, {"k" * size: 1})
    span.set_status(Status(StatusCode.ERROR, "d" * size))
    span.update_name("n" * size)
    span.end()

    assert_alike(scene.spans)


def test_much_that_was_dropped_is_counted(scene: Scene) -> None:
    """Of attributes and events."""
    span = scene.begin()
    span.put(texts(300))
    for number in range(200):
        span.add_event("happened", {"number": number})
    span.end()

    assert (scene.spans[-1].dropped_attributes, scene.spans[-1].dropped_events) == (289, 198)
    assert_alike(scene.spans)


def test_events_links_and_what_was_dropped_are_told(scene: Scene) -> None:
    """With their own attributes."""
    span = scene.begin()
    span.put(texts(20))
    for number in range(3):
        span.note("happened", {"number": number})
    span.add_link(REMOTE, {"why": "joined"})
    span.add_link(scene.begin().get_span_context())
    span.end()

    assert scene.spans[-1].dropped_attributes == 9
    assert_alike(scene.spans)


ODD = [b"bytes", {"k": 1}, [1, "a"], (1, 2), ("a", 2.5), (b"a",), 2**63, 2**64, None]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_what_is_odd_is_left_to_the_sdk(scene: Scene, value: Any) -> None:  # noqa: ANN401
    """As an agent may say anything, and no other span is lost for it."""
    span = scene.begin()
    span.set_attribute("it", value)
    span.end()
    scene.begin().end()

    assert encoded(scene.spans) is None


class Receiver(BaseHTTPRequestHandler):
    """Takes what is posted, and keeps it."""

    received: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        """Say that it arrived, unless it is to be refused."""
        self.received.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(HTTPStatus.BAD_REQUEST if "refused" in self.path else HTTPStatus.OK)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def receiver() -> Iterator[str]:
    """The address of one that runs."""
    Receiver.received.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_is_sent_is_what_is_said_to_be(scene: Scene, receiver: str, caplog: pytest.LogCaptureFixture) -> None:
    """Spans arrive, odd ones and what is beside them too; what is refused, too large or too late is lost."""
    exporter, refused = OtlpSpans(endpoint=receiver), OtlpSpans(endpoint=f"{receiver}/refused")
    plain = list(scene.spans)
    span = scene.begin()
    span.set_attribute("it", b"bytes")
    span.end()
    unsendable = scene.begin()
    unsendable.update_name("\ud800")
    unsendable.end()

    results = [exporter.export(plain), exporter.export(scene.spans[:2]), refused.export(plain)]
    results.append(exporter.export(scene.spans))
    exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it so
    results.append(exporter.export(plain))
    small = OtlpSpans(endpoint=receiver, max_request_size=10)
    results.append(small.export(plain))

    sent = [encode_spans(plain), encode_spans(scene.spans[:2]), encode_spans(plain)]
    assert [ExportTraceServiceRequest.FromString(data) for data in Receiver.received] == sent
    assert [result is SpanExportResult.SUCCESS for result in results] == [True, True, False, False, False, False]
    assert "exceeds max_request_size" in caplog.text
    assert "already shutdown" in caplog.text


def test_no_text_of_any_length_is_kept(scene: Scene) -> None:
    """Nor what has one for a name: it may be a prompt."""
    scene.begin().end()
    assert encoded(scene.spans) is not None
    before = _common.cache_info().currsize
    for value in ("x" * (SHORT + 1), ("x" * 1000,), 1.5):
        span = scene.begin()
        span.put({"long": value, "n" * (LONGEST_KEY + 1): 1})
        span.end()

    assert encoded(scene.spans) is not None

    assert _common.cache_info().currsize == before


def test_one_span_is_a_batch(scene: Scene) -> None:
    """Of which the first is like any other."""
    assert_alike(scene.spans)
