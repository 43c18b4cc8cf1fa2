"""The line that the log keeps of a call says who, what, how it ended, how long each part took, and what it cost."""

import pytest

from fakes.calls import REQUEST, a_call
from penstockd.errors import Quota
from penstockd.logs.access_line import access_line
from penstockd.outcome import Attempt, CacheStatus, Outcome
from penstockd.principal import Principal
from penstockd.usage import Usage


def test_a_line_tells_all_there_is_to_tell() -> None:
    """Of an answer that took two models and a wait."""
    failed = Attempt(model="a", started_at=1000.0, ended_at=1000.1, reason="reset", cost_nanousd=0)
    usage = Usage(uncached_input=7, cached_input=3, output=5)
    answered = Attempt(
        model="b", started_at=1000.2, ended_at=1001.2, is_complete=True, usage=usage, cost_nanousd=42, ordinal=2
    )
    outcome = Outcome(
        call_id="c1",
        request_id="mine",
        principal=Principal(tenant="acme", key="web"),
        agent="support",
        cache=CacheStatus.MISS,
        model="b",
        first_content_at=1000.25,
        waited=0.1,
        attempts=[failed, answered],
    )

    line = access_line(a_call(REQUEST, outcome=outcome), code="OK", reason="", duration=1.5)

    assert line == {
        "request_id": "mine",
        "call_id": "c1",
        "method": "/penstock.v1.AgentService/Process",
        "code": "OK",
        "duration_ms": 1500.0,
        "peer": "ipv4:192.0.2.1:5",
        "tenant": "acme",
        "key": "web",
        "wait_ms": 100.0,
        "first_content_ms": 250.0,
        "agent": "support",
        "cache": "miss",
        "model": "b",
        "attempts": [
            {"model": "a", "reason": "reset", "duration_ms": 100.0},
            {"model": "b", "reason": "", "duration_ms": 1000.0},
        ],
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_nanousd": 42,
    }


def test_an_attempt_that_goes_on_without_its_caller_did_not_answer() -> None:
    """What it costs is not known yet; the ledger will."""
    outcome = Outcome(agent="support", model="a", attempts=[Attempt(model="a", started_at=1000.0)])

    line = access_line(a_call(REQUEST, outcome=outcome), code="CANCELLED", reason="CANCELLED", duration=0.1)

    assert (line["attempts"], line["cost_nanousd"]) == ([{"model": "a", "reason": "under_way"}], None)


def test_a_line_leaves_out_what_is_not_known() -> None:
    """A refused call has no agent, no tenant and no tokens."""
    line = access_line(a_call(REQUEST), code="INVALID_ARGUMENT", reason="INVALID_REQUEST", duration=0.1)

    assert line.keys() == {"request_id", "call_id", "method", "code", "duration_ms", "peer", "reason"}


def test_why_a_caller_was_not_believed_is_told() -> None:
    """In the counter's word; nothing of what it showed."""
    line = access_line(
        a_call(REQUEST, outcome=Outcome(auth="expired")), code="UNAUTHENTICATED", reason="UNAUTHENTICATED", duration=0.1
    )

    assert line["auth"] == "expired"


@pytest.mark.parametrize("status", [CacheStatus.HIT, CacheStatus.COALESCED])
def test_an_answer_that_was_there_used_nothing(status: CacheStatus) -> None:
    """The line says so, and whose model's answer it is."""
    outcome = Outcome(agent="support", cache=status, model="a", first_content_at=1000.001)

    line = access_line(a_call(REQUEST, outcome=outcome), code="OK", reason="", duration=0.002)

    assert (line["cache"], line["model"], line["first_content_ms"]) == (status.value, "a", 1.0)
    assert (line["attempts"], line["input_tokens"], line["output_tokens"], line["cost_nanousd"]) == ([], 0, 0, 0)


def test_a_caller_without_a_key_is_named_by_its_tenant() -> None:
    """As by a certificate, or in development."""
    line = access_line(
        a_call(REQUEST, outcome=Outcome(principal=Principal(tenant="acme"))), code="OK", reason="", duration=0.1
    )

    assert line["tenant"] == "acme"
    assert "key" not in line


def test_a_refusal_names_whom_a_limit_denied_and_the_agent_that_was_asked() -> None:
    """No agent has had the call, and no cache."""
    quota = Quota("user:acme/u1", "60/m requests")

    line = access_line(
        a_call(REQUEST, outcome=Outcome(principal=Principal(tenant="acme"))),
        code="RESOURCE_EXHAUSTED",
        reason="RATE_LIMITED",
        duration=0.1,
        quota=quota,
        asked="support",
    )

    assert (line["rule"], line["subject"], line["agent"]) == ("60/m requests", "user:acme/u1", "support")
    assert "cache" not in line


def test_the_agent_that_had_the_call_is_the_one_that_is_told() -> None:
    """Be it refused by a budget in the end."""
    outcome = Outcome(agent="support", cache=CacheStatus.MISS)

    line = access_line(
        a_call(REQUEST, outcome=outcome), code="RESOURCE_EXHAUSTED", reason="X", duration=0.1, asked="default"
    )

    assert (line["agent"], line["cache"]) == ("support", "miss")
