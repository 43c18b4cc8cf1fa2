"""Operators read in the log why an attempt failed, and nothing of what was asked or answered."""

import io
import json
import logging

import pytest

from fakes.clock import FakeClock
from fakes.model_calls import Asked, ModelCalls
from penstockd.errors import ModelsUnavailable
from penstockd.logs.formats import JsonFormatter
from penstockd.logs.log_sink import LogSink
from penstockd.logs.redaction import Redaction
from penstockd.logs.repeats import TOLD, Repeats
from penstockd.outcome import Outcome
from penstockd.principal import Principal
from penstockd.upstream import (
    Broken,
    CoolingDown,
    Filtered,
    Misconfigured,
    OutOfTime,
    PassedOver,
    QuotaSpent,
    Rejected,
    TimedOut,
    TooLong,
    UpstreamFailure,
)


def fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """What the lines about failed attempts say."""
    return [record.__dict__["fields"] for record in caplog.records if record.message == "an attempt failed"]


def test_every_failed_attempt_says_why(caplog: pytest.LogCaptureFixture) -> None:
    """With its model, reason, words and call, and whose that is, as a warning; the one that answers says nothing."""
    calls = ModelCalls()
    a = calls.model("a", Broken("ConnectionRefusedError: port 1", reason="connect_failed"))
    b, c = calls.model("b", Misconfigured("HTTP 401 (invalid_api_key)")), calls.model("c", "text")

    outcome = Outcome(
        request_id="r1", trace_ids={"trace_id": "t1"}, agent="support", principal=Principal(tenant="acme")
    )
    calls.answer(a, b, c, asked=Asked(outcome=outcome))

    whose = {"request_id": "r1", "trace_id": "t1", "agent": "support", "tenant": "acme"}
    assert fields(caplog) == [
        {"model": "a", "reason": "connect_failed", "error": "ConnectionRefusedError: port 1", **whose},
        {"model": "b", "reason": "misconfigured", "error": "HTTP 401 (invalid_api_key)", **whose},
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


@pytest.mark.parametrize("failure", [TimedOut("2 s"), CoolingDown("HTTP 429"), QuotaSpent("pay")], ids=repr)
def test_what_is_the_operators_affair_is_told(failure: UpstreamFailure, caplog: pytest.LogCaptureFixture) -> None:
    """Though another model answers."""
    calls = ModelCalls()

    asked = calls.answer(calls.model("a", failure), calls.model("b", "text"))

    assert asked.heard.text == "text"
    assert [line["reason"] for line in fields(caplog)] == [failure.reason]


@pytest.mark.parametrize(
    "failure", [Rejected("no: hello"), TooLong("hello"), Filtered("hello"), OutOfTime("late"), PassedOver("")], ids=repr
)
def test_what_is_the_callers_affair_is_not_told(failure: UpstreamFailure, caplog: pytest.LogCaptureFixture) -> None:
    """Nor that a model was passed over, which is no failure; such words may repeat what was asked."""
    calls = ModelCalls(max_attempts=1)

    calls.answer(calls.model("a", failure), calls.model("b", "text"))

    assert caplog.records == []


def test_a_stream_that_breaks_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """An attempt fails after its first content as well."""
    calls = ModelCalls()

    calls.answer(calls.model("a", ("text", Broken("the connection was lost", reason="truncated"))))

    assert [line["error"] for line in fields(caplog)] == ["the connection was lost"]


def test_a_thousand_equal_failures_are_a_few_lines() -> None:
    """However their words and calls differ, a model that fails for one reason is told of a few times."""
    calls = ModelCalls(max_attempts=1)
    stream = io.StringIO()
    sink = LogSink(stream, redaction=Redaction(), repeats=Repeats(FakeClock()))
    sink.setFormatter(JsonFormatter())
    model = calls.model("a", *(Broken(f"port {port}", reason="connect_failed") for port in range(1000)))

    async def a_bad_day() -> list[Asked]:
        return [await calls.ask(model, asked=Asked(outcome=Outcome(request_id=f"r{call}"))) for call in range(1000)]

    logger = logging.getLogger("test")
    logger.addHandler(sink)
    try:
        asked = calls.run(a_bad_day())
    finally:
        logger.removeHandler(sink)
        sink.close()

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(isinstance(each.error, ModelsUnavailable) for each in asked)
    assert len(lines) == TOLD + 1
    assert lines[-1]["repeated"] == 1000 - TOLD


@pytest.mark.parametrize(("failure", "level"), [(QuotaSpent("pay"), logging.ERROR), (TimedOut("2 s"), logging.WARNING)])
def test_what_nobody_but_an_operator_mends_is_an_error(
    failure: UpstreamFailure, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An account without credit opens no circuit whose line would say so."""
    calls = ModelCalls(max_attempts=1)

    calls.answer(calls.model("a", failure))

    assert [record.levelno for record in caplog.records] == [level]
