"""Messages of the contract become values, and values become messages."""

import sys

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from penstock.v1 import agent_service_pb2 as pb
from penstockd import messages, mistakes
from penstockd.errors import InvalidRequest, Violation
from penstockd.outcome import Attempt, CacheStatus, FinishReason, Outcome
from penstockd.request import UNSET, CachePolicy, Parameters, Request, Role, Turn
from penstockd.usage import Usage

KINDS = pytest.mark.parametrize("kind", [pb.ProcessRequest, pb.ProcessStreamRequest])


def read(message: mistakes.ProcessMessage) -> Request:
    """Read with the default agent "house"."""
    return messages.read_request(message, default_agent="house")


def complaints(message: mistakes.ProcessMessage) -> dict[str, str]:
    """The fields that are refused, and why."""
    with pytest.raises(InvalidRequest) as raised:
        read(message)
    return {violation.field: violation.description for violation in raised.value.violations}


@KINDS
def test_a_full_request_is_read_whole(kind: type[pb.ProcessRequest | pb.ProcessStreamRequest]) -> None:
    """Both requests carry the same fields at the same numbers."""
    data = pb.ProcessRequest(
        agent="support",
        input="hello",
        history=[pb.Message(role=pb.ROLE_USER, content="a"), pb.Message(role=pb.ROLE_ASSISTANT, content="b")],
        user_id="u1",
        request_id="r1",
        idempotency_key="k1",
        parameters=pb.GenerationParameters(temperature=0, top_p=1, max_output_tokens=5, stop=["x"], seed=0),
        cache=pb.CACHE_POLICY_REFRESH,
        labels={"team": "search"},
    ).SerializeToString()

    message = kind.FromString(data)

    assert read(message) == Request(
        agent="support",
        input="hello",
        history=(Turn(Role.USER, "a"), Turn(Role.ASSISTANT, "b")),
        user_id="u1",
        request_id="r1",
        idempotency_key="k1",
        parameters=Parameters(temperature=0.0, top_p=1.0, max_output_tokens=5, stop=("x",), seed=0),
        cache=CachePolicy.REFRESH,
        labels={"team": "search"},
    )


@KINDS
def test_what_is_not_said_is_the_default(kind: type[pb.ProcessRequest | pb.ProcessStreamRequest]) -> None:
    """The default agent, and every choice left to it."""
    assert read(kind(input="hello")) == Request(agent="house", input="hello")
    assert read(kind(input="hello", parameters=pb.GenerationParameters())).parameters == Parameters()


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.ProcessRequest(), "input"),
        (pb.ProcessRequest(input="x", history=[pb.Message(content="a")]), "history[0].role"),
        (pb.ProcessRequest(input="x", user_id="u" * 129), "user_id"),
        (pb.ProcessRequest(input="x", user_id="a\0b"), "user_id"),
        (pb.ProcessRequest(input="x", request_id="a b"), "request_id"),
        (pb.ProcessRequest(input="x", request_id="r" * 129), "request_id"),
        (pb.ProcessRequest(input="x", idempotency_key="k" * 256), "idempotency_key"),
        (pb.ProcessRequest.FromString(b"\x12\x01x\x40\x63"), "cache"),
        (pb.ProcessRequest(input="x", labels={str(n): "" for n in range(17)}), "labels"),
        (pb.ProcessRequest(input="x", labels={"": "v"}), 'labels[""]'),
        (pb.ProcessRequest(input="x", labels={"k" * 64: "v"}), 'labels["' + "k" * 63 + '"]'),
        (pb.ProcessRequest(input="x", labels={"k": "v" * 257}), 'labels["k"]'),
        (pb.ProcessRequest(input="x", labels={'a"\n': "v" * 257}), r'labels["a\"\n"]'),
    ],
)
def test_a_bad_field_is_named(message: pb.ProcessRequest, field: str) -> None:
    """With what it must be."""
    assert list(complaints(message)) == [field]
    assert complaints(message)[field].startswith("must ")


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (pb.GenerationParameters(temperature=-0.1), "temperature"),
        (pb.GenerationParameters(temperature=2.1), "temperature"),
        (pb.GenerationParameters(temperature=float("nan")), "temperature"),
        (pb.GenerationParameters(top_p=0), "top_p"),
        (pb.GenerationParameters(top_p=1.1), "top_p"),
        (pb.GenerationParameters(top_p=float("nan")), "top_p"),
        (pb.GenerationParameters(max_output_tokens=0), "max_output_tokens"),
        (pb.GenerationParameters(stop=["a"] * 5), "stop"),
        (pb.GenerationParameters(stop=["a", ""]), "stop"),
        (pb.GenerationParameters(stop=[""] * 1000), "stop"),
    ],
)
def test_a_bad_parameter_is_named(parameters: pb.GenerationParameters, field: str) -> None:
    """By its path."""
    assert list(complaints(pb.ProcessRequest(input="x", parameters=parameters))) == [f"parameters.{field}"]


@pytest.mark.parametrize(
    "message",
    [
        pb.ProcessRequest(input="x", user_id="ü" * 128, request_id="r" * 128, idempotency_key="k" * 255),
        pb.ProcessRequest(input="x", labels={f"{n:063}": "v" * 256 for n in range(16)}),
        pb.ProcessRequest(input="x", parameters=pb.GenerationParameters(temperature=2, top_p=1, stop=["a"] * 4)),
    ],
)
def test_what_is_just_allowed_is_allowed(message: pb.ProcessRequest) -> None:
    """The limits are the contract's."""
    read_parameters = read(message).parameters
    assert read_parameters is UNSET or read_parameters.stop == tuple(message.parameters.stop)


def test_every_mistake_is_named_at_once() -> None:
    """But no more than twenty, and three in the message: a status has room for so much."""
    many = pb.ProcessRequest(history=[pb.Message()] * 50)

    with pytest.raises(InvalidRequest) as raised:
        read(many)

    assert len(raised.value.violations) == 20
    assert raised.value.message.count("must") == 3


def test_what_is_too_many_is_not_read() -> None:
    """Nobody knows yet who asks: a message that is full of the smallest parts costs no more than another."""
    turn, stop, label = b"\x1a\x02\x08\x01", b"\x22\x01a", b"\x4a\x08\x0a\x04%04x\x12\x00"
    stops = stop * 60_000
    data = b"\x12\x01x" + turn * 60_000 + b"\x3a" + varint(len(stops)) + stops
    message = pb.ProcessRequest.FromString(data + b"".join(label % number for number in range(60_000)))
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        with pytest.raises(InvalidRequest) as raised:
            read(message)
    finally:
        sys.setprofile(None)

    assert (len(message.history), len(message.parameters.stop), len(message.labels)) == (60_000,) * 3
    assert {violation.field for violation in raised.value.violations} == {"history", "parameters.stop", "labels"}
    assert calls < 1000


def test_a_history_of_many_turns_is_read() -> None:
    """As many as there may be."""
    history = [pb.Message(role=pb.ROLE_USER, content="a")] * mistakes.MOST_TURNS

    assert len(read(pb.ProcessRequest(input="x", history=history)).history) == mistakes.MOST_TURNS


def varint(number: int) -> bytes:
    """A number as a message has it."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def test_a_few_bad_labels_stand_for_all() -> None:
    """Their keys are long: the other mistakes shall have room too."""
    many = pb.ProcessRequest(input="x", labels={f"{number}{'k' * 63}": "" for number in range(10)})

    named = [field for field in complaints(many) if field.startswith("labels")]

    assert len(named) == 5


@pytest.mark.parametrize(("named", "kept"), [("mine", "mine"), ("not mine", ""), ("", "")])
def test_what_is_refused_keeps_its_name(named: str, kept: str) -> None:
    """The caller looks for it by that, if it can be one."""
    with pytest.raises(InvalidRequest) as raised:
        read(pb.ProcessRequest(request_id=named))

    assert raised.value.request_id == kept


@pytest.mark.parametrize("data", [b"\xff", b"\x12\x05ab", b"\x12\x02\xff\xfe"])
def test_bytes_that_are_no_message_are_not_repeated(data: bytes) -> None:
    """The complaint names the message that they should be; it is about no field."""
    with pytest.raises(InvalidRequest) as raised:
        messages.parse(pb.ProcessRequest, data)

    assert raised.value.message == "the request's bytes are no penstock.v1.ProcessRequest"
    assert raised.value.violations == (Violation("", "its bytes are no penstock.v1.ProcessRequest"),)


def test_a_response_is_the_account_of_an_answer() -> None:
    """Buckets summed, attempts with their reasons, and the price where it is known."""
    usage = Usage(uncached_input=1, cached_input=2, cache_write_input=3, output=4, reasoning=1)
    outcome = Outcome(request_id="r1", model="b", cache=CacheStatus.MISS)
    failed = Attempt(model="a", started_at=10.0, ended_at=10.5, reason="reset", cost_nanousd=0, is_estimated=True)
    answered = Attempt(model="b", started_at=10.5, usage=usage, is_complete=True, cost_nanousd=42)
    outcome.attempts += [failed, answered]

    response = messages.response(outcome, FinishReason.LENGTH, output="text", latency=1.25)

    assert response.request_id == "r1"
    assert response.output == "text"
    assert response.finish_reason == pb.FINISH_REASON_LENGTH
    assert response.model_used == "b"
    assert response.cache_status == pb.CACHE_STATUS_MISS
    assert response.latency == Duration(seconds=1, nanos=250_000_000)
    assert response.usage == pb.Usage(
        input_tokens=6,
        output_tokens=4,
        cached_input_tokens=2,
        cache_write_input_tokens=3,
        reasoning_tokens=1,
        total_tokens=10,
    )
    assert (response.cost_nanousd, response.cost_estimated) == (42, True)
    assert [(each.model, each.reason, each.latency.nanos) for each in response.attempts] == [
        ("a", "reset", 500_000_000),
        ("b", "", 0),
    ]


def test_an_unknown_price_is_no_price() -> None:
    """Unset, not zero."""
    outcome = Outcome(attempts=[Attempt(model="a", started_at=0.0)])

    response = messages.response(outcome, FinishReason.STOP, output="", latency=0.0)

    assert not response.HasField("cost_nanousd")
    assert not response.attempts[0].HasField("cost_nanousd")
    assert response.HasField("latency"), "no time at all is a time"


@pytest.mark.parametrize("status", CacheStatus)
def test_every_cache_status_has_its_number(status: CacheStatus) -> None:
    """The first event of a stream tells it too."""
    event = messages.started(Outcome(cache=status))

    assert pb.CacheStatus.Name(event.started.cache_status) == f"CACHE_STATUS_{status.name}"


@given(seconds=st.floats(0, 1e9))
def test_a_duration_is_its_seconds(seconds: float) -> None:
    """To the nanosecond, as far as a float goes."""
    duration = messages.duration(seconds)

    assert 0 <= duration.nanos < 1_000_000_000
    assert duration.seconds + duration.nanos / 1e9 == pytest.approx(seconds, abs=1e-6)
