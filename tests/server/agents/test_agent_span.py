"""What an agent does in a sampled call is a span of its own."""

import asyncio

import pytest
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from fakes.telescope import Telescope
from penstockd.agents.agent_span import agent_span
from penstockd.errors import AgentNotFound
from penstockd.tracing import Trace


@pytest.fixture
def telescope() -> Telescope:
    """Sees what comes of it."""
    return Telescope()


@pytest.fixture
def trace(telescope: Telescope) -> Trace:
    """The trace of a call."""
    trace = telescope.tracing().begin("call", None, {})
    assert trace is not None
    return trace


def test_an_agent_works_within_its_call(telescope: Telescope, trace: Trace) -> None:
    """And what it does is within its own span."""
    with trace, agent_span("support"):
        inner = trace.begin("inner", SpanKind.INTERNAL, {})
        inner.end()

    span, server, inside = (telescope.span(name) for name in ("invoke_agent support", "call", "inner"))
    assert span.parent == server.context
    assert inside.parent == span.context
    assert dict(span.attributes or {}) == {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("error", "error_type"),
    [(AgentNotFound("secret"), "AGENT_NOT_FOUND"), (ValueError("secret"), "ValueError")],
    ids=repr,
)
def test_an_agent_that_fails_says_how(telescope: Telescope, trace: Trace, error: Exception, error_type: str) -> None:
    """By the reason, or by the kind of what was raised; never by what that says."""
    with pytest.raises(type(error)), trace, agent_span("support"):
        raise error

    span = telescope.span("invoke_agent support")
    assert span.attributes is not None
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, error_type)
    assert "secret" not in span.to_json()


def test_an_agent_that_is_cancelled_did_nothing_wrong(telescope: Telescope, trace: Trace) -> None:
    """Its caller left."""
    with pytest.raises(asyncio.CancelledError), trace, agent_span("support"):
        raise asyncio.CancelledError

    span = telescope.span("invoke_agent support")
    assert span.attributes is not None
    assert (span.status.status_code, span.attributes["penstock.reason"]) == (StatusCode.UNSET, "cancelled")


def test_a_call_that_is_not_sampled_has_none(telescope: Telescope) -> None:
    """Nothing is made at all."""
    with agent_span("support"):
        assert not get_current_span().get_span_context().is_valid

    assert telescope.spans == ()
