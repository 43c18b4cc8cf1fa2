"""Replies become messages in the shape of their method."""

import pytest

from fakes.calls import REQUEST, a_call
from fakes.clock import FakeClock
from penstock.v1.agent_service_pb2 import ListAgentsResponse, ProcessResponse, ProcessStreamResponse
from penstockd.call import Completed, Delta
from penstockd.endpoint import LONGEST_DELTA, StreamEdge, WholeEdge
from penstockd.outcome import FinishReason, Outcome

DONE = Completed(finish_reason=FinishReason.STOP)


def test_a_whole_answer_is_one_message() -> None:
    """Nothing is due before the end; latency counts from the call's start."""
    clock = FakeClock(1000.0)
    call = a_call(REQUEST)
    edge = WholeEdge(clock, call.outcome, call.started_at)
    clock.advance(2.5)

    assert edge(Delta("Hel")) == ()
    assert edge(Delta("lo")) == ()
    (data,) = edge(DONE)

    response = ProcessResponse.FromString(data)
    assert response.output == "Hello"
    assert response.latency.ToMilliseconds() == 2500


def test_any_other_reply_is_itself() -> None:
    """A method that sends its one response message sends it so."""
    message = ListAgentsResponse()

    assert WholeEdge(FakeClock(), Outcome(), 0.0)(message) == (message.SerializeToString(),)


def test_a_streams_first_reply_brings_started_along() -> None:
    """Once, whatever comes first."""
    call = a_call(REQUEST)
    edge = StreamEdge(FakeClock(), call.outcome, call.started_at)

    assert kinds(edge(Delta("a"))) == ["started", "delta"]
    assert kinds(edge(Delta("b"))) == ["delta"]
    assert kinds(edge(DONE)) == ["completed"]
    assert kinds(StreamEdge(FakeClock(), call.outcome, call.started_at)(DONE)) == ["started", "completed"]


def test_a_long_text_goes_out_in_messages_that_every_client_takes() -> None:
    """Somebody who reads late has all that was said before at once, in letters of four bytes too."""
    call = a_call(REQUEST)
    edge = StreamEdge(FakeClock(), call.outcome, call.started_at)
    text = "🦊" * (2 * LONGEST_DELTA) + "."

    _, *events = edge(Delta(text))

    assert "".join(ProcessStreamResponse.FromString(event).delta.text for event in events) == text
    assert [len(event) <= 4 * LONGEST_DELTA + 100 for event in events] == [True] * 3
    assert 4 * LONGEST_DELTA <= 1 << 20


def test_a_stream_has_no_other_replies() -> None:
    """A message is a mistake of ours."""
    with pytest.raises(TypeError, match="ListAgentsResponse is no reply of a stream"):
        StreamEdge(FakeClock(), Outcome(), 0.0)(ListAgentsResponse())


def kinds(messages: object) -> list[str | None]:
    """What the events are."""
    assert isinstance(messages, list)
    return [ProcessStreamResponse.FromString(message).WhichOneof("event") for message in messages]
