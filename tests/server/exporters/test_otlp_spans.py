"""Spans are encoded as the SDK encodes them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from penstockd.exporters.otlp_spans import SHORT, encoded
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
    assert encoded(spans) == encode_spans(spans)


VALUES = ["", "text", "x" * SHORT, "x" * (SHORT + 1), "ü€", Word.HIT, True, False, 0, 1, -1, 2**63 - 1]
MORE = [0.0, 1.0, 1.5, 1e300, (), ("stop",), ("stop", "length")]


@pytest.mark.parametrize("value", [*VALUES, *MORE], ids=repr)
def test_values_are_of_their_kinds(scene: Scene, value: Any) -> None:  # noqa: ANN401
    """One and True and 1.0 are three, whichever was first."""
    for _ in range(2):
        span = scene.begin()
        span.put({"it": value})
        span.end()

    assert_alike(scene.spans)


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


@pytest.mark.parametrize("value", [b"bytes", {"k": 1}, [1, "a"], (1, 2), ("a", 2.5), 2**64, "\ud800", None], ids=repr)
def test_what_is_odd_is_left_to_the_sdk(scene: Scene, value: Any) -> None:  # noqa: ANN401
    """As an agent may say anything, and no other span is lost for it."""
    span = scene.begin()
    span.set_attribute("it", value)
    span.end()
    scene.begin().end()

    assert len(scene.spans) == 3
    assert_alike(scene.spans)


def test_one_span_is_a_batch(scene: Scene) -> None:
    """Of which the first is like any other."""
    assert_alike(scene.spans)
