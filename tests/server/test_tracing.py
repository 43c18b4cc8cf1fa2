"""Whether a call is traced is decided before anything is made for it."""

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import INVALID_SPAN, Link, SpanKind, TraceState, get_current_span, use_span
from opentelemetry.util.types import Attributes

from fakes.telescope import Telescope
from penstockd import tracing
from penstockd.metadata import Entries, Metadata
from penstockd.tracing import Tracing, Within, ids_of, present

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"), ("x-bin", b"\0"))
UNSAMPLED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-00"),)


class Watched(Sampler):
    """Samples half of all traces, notes which it was asked about, and adds an attribute."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._half = TraceIdRatioBased(0.5)

    def should_sample(  # noqa: PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        self.asked.append(trace_id)
        result = self._half.should_sample(parent_context, trace_id, name, kind, attributes, links)
        return SamplingResult(result.decision, {"sampled.by": "half"})

    def get_description(self) -> str:
        return "half"


def begun(tracing: Tracing, metadata: Entries = ()) -> bool:
    """Whether a call with this metadata is traced."""
    trace = tracing.begin("call", tracing.caller(Metadata(metadata)), {"a": "b"})
    if trace is None:
        return False
    with trace:
        assert present() is trace
    return True


@pytest.mark.parametrize(
    ("sampler", "metadata", "is_traced"),
    [
        (ALWAYS_ON, (), True),
        (ALWAYS_OFF, SAMPLED, False),
        (ParentBased(ALWAYS_ON), UNSAMPLED, False),
        (ParentBased(ALWAYS_OFF), SAMPLED, True),
        (ParentBased(ALWAYS_OFF), (), False),
        (ParentBased(ALWAYS_ON), (("traceparent", "nonsense"),), True),
    ],
)
def test_the_sampler_decides(sampler: Sampler, metadata: Entries, *, is_traced: bool) -> None:
    """It sees what the caller has decided."""
    telescope = Telescope()

    assert begun(telescope.tracing(sampler), metadata) is is_traced
    assert len(telescope.spans) == is_traced


def test_a_trace_has_the_id_it_was_sampled_by() -> None:
    """So that everyone who samples by the id decides alike; the sampler is asked once a call."""
    telescope, sampler = Telescope(), Watched()
    tracing = telescope.tracing(sampler)

    traced = [begun(tracing) for _ in range(50)]

    assert len(set(sampler.asked)) == 50
    sampled = [trace_id for trace_id, is_traced in zip(sampler.asked, traced, strict=True) if is_traced]
    assert [span.context.trace_id for span in telescope.spans if span.context] == sampled
    assert 5 < len(sampled) < 45
    assert [dict(span.attributes or {}) for span in telescope.spans] == [{"a": "b", "sampled.by": "half"}] * len(
        sampled
    )


@pytest.mark.parametrize("sampler", [TraceIdRatioBased(0.25), ParentBased(TraceIdRatioBased(0.25))])
def test_a_ratio_lets_the_same_calls_pass_as_its_sampler(sampler: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though that is not asked about those it leaves out."""
    bound = TraceIdRatioBased.get_bound_for_rate(0.25)
    ids = [high << 64 | low for high in (1, 2**63) for low in (1, bound - 1, bound, bound + 1, 2**64 - 1)]
    drawn = iter(ids)
    monkeypatch.setattr(tracing, "new_id", lambda _bits: next(drawn))
    telescope = Telescope()
    begin = telescope.tracing(sampler)

    traced = [begin.begin("call", None, {}) is not None for _ in ids]

    decisions = [sampler.should_sample(None, each, "call").decision for each in ids]
    assert traced == [decision is Decision.RECORD_AND_SAMPLE for decision in decisions]
    assert traced == [True, True, False, False, False] * 2


def test_a_sampler_of_ones_own_is_asked_about_every_call() -> None:
    """Though it is made of the SDK's."""

    class Always(ParentBased):
        def should_sample(self, *asked: Any, **more: Any) -> SamplingResult:  # noqa: ANN401 - as the SDK's
            return ALWAYS_ON.should_sample(*asked, **more)

    assert begun(Telescope().tracing(Always(TraceIdRatioBased(0.0))))


def test_a_call_goes_on_with_the_trace_of_its_caller() -> None:
    """Within the caller's span, with what its vendors say of the trace; so do the spans within the call."""
    telescope = Telescope()
    tracing = telescope.tracing(ParentBased(ALWAYS_OFF))

    trace = tracing.begin("call", tracing.caller(Metadata((*SAMPLED, ("tracestate", "vendor=x")))), {})
    assert trace is not None
    with trace:
        trace.begin("within", SpanKind.INTERNAL, {}).end()

    within, call = telescope.spans
    assert call.parent is not None
    assert call.context is not None
    assert (f"{call.parent.trace_id:032x}", f"{call.parent.span_id:016x}") == (TRACE, "b7ad6b7169203331")
    assert within.parent == call.context
    for span in (within, call):
        assert span.context is not None
        assert (f"{span.context.trace_id:032x}", span.context.trace_state.to_header()) == (TRACE, "vendor=x")


def test_an_agent_that_leaves_no_span_does_not_break_the_trace() -> None:
    """What is asked of models then is within the call all the same."""
    telescope = Telescope()
    trace = telescope.tracing().begin("call", None, {})
    assert trace is not None

    with trace, use_span(INVALID_SPAN):
        trace.begin("within", SpanKind.CLIENT, {}).end()

    assert telescope.span("within").parent == telescope.span("call").context


def test_nothing_is_traced_where_nobody_wants_traces() -> None:
    """The caller's trace has a name all the same."""
    tracing = Tracing()

    assert tracing.begin("call", tracing.caller(Metadata(SAMPLED)), {}) is None
    assert ids_of(None, tracing.caller(Metadata(SAMPLED))) == {"trace_id": TRACE}
    assert ids_of(None, tracing.caller(Metadata((("traceparent", "nonsense"),)))) == {}
    assert ids_of(None, tracing.caller(Metadata((("a", "b"),)))) == {}


def test_a_trace_is_present_while_its_call_is_handled() -> None:
    """Its server span is the current one, for agents that make spans of their own."""
    tracing = Telescope().tracing()
    trace = tracing.begin("call", None, {})
    assert trace is not None

    with trace:
        assert get_current_span() is trace.span
        assert ids_of(trace, None)["span_id"] == f"{trace.span.get_span_context().span_id:016x}"

    assert present() is None
    assert not get_current_span().get_span_context().is_valid


def test_what_happens_after_the_call_has_ended_is_not_noted_any_more(caplog: pytest.LogCaptureFixture) -> None:
    """Work that others wait for goes on; its own spans are still a part of the trace."""
    telescope = Telescope()
    trace = telescope.tracing().begin("call", None, {})
    assert trace is not None
    with trace:
        trace.note("before", {"a": 1})

    trace.note("after", {})

    assert caplog.records == []
    (span,) = telescope.spans
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [("before", {"a": 1})]


def test_an_error_that_passes_is_not_written_down() -> None:
    """It may repeat a prompt."""
    telescope = Telescope()
    trace = telescope.tracing().begin("call", None, {})
    assert trace is not None

    span = trace.begin("inner", SpanKind.INTERNAL, {})
    with pytest.raises(ValueError, match="secret"), trace, Within(span):
        raise ValueError("secret")
    span.end()

    assert len(telescope.spans) == 2
    assert "secret" not in "".join(span.to_json() for span in telescope.spans)
