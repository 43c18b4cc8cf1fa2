"""Plain arguments become the contract's request."""

import re
from typing import cast

import pytest

from penstock import Message
from penstock.request import Options, build, new_request_id
from penstock.v1.agent_service_pb2 import CachePolicy, ProcessRequest, ProcessStreamRequest, Role


def test_both_requests_are_built_alike() -> None:
    """The unary and the streamed request carry the same bytes for the same arguments."""
    options: Options = {"agent": "a", "request_id": "r", "seed": 7, "labels": {"team": "x"}}
    unary = build(ProcessRequest, "hi", options)
    streamed = build(ProcessStreamRequest, "hi", options)

    assert unary.SerializeToString(deterministic=True) == streamed.SerializeToString(deterministic=True)


def test_every_argument_has_its_place() -> None:
    """Nothing that is said is lost."""
    request = build(
        ProcessRequest,
        "hi",
        {
            "agent": "support",
            "user_id": "u1",
            "request_id": "r1",
            "idempotency_key": "k1",
            "temperature": 0.0,
            "top_p": 0.5,
            "max_output_tokens": 9,
            "stop": ["a", "b"],
            "seed": 0,
            "cache": "refresh",
            "labels": {"team": "search"},
        },
    )

    assert (request.input, request.agent, request.user_id) == ("hi", "support", "u1")
    assert (request.request_id, request.idempotency_key) == ("r1", "k1")
    assert request.parameters.HasField("temperature")
    assert request.parameters.HasField("seed")
    assert (request.parameters.top_p, request.parameters.max_output_tokens) == (0.5, 9)
    assert list(request.parameters.stop) == ["a", "b"]
    assert request.cache == CachePolicy.CACHE_POLICY_REFRESH
    assert dict(request.labels) == {"team": "search"}


def test_what_is_not_said_is_left_to_the_agent() -> None:
    """No parameters, and the usual cache policy; None says nothing."""
    request = build(ProcessRequest, "hi", {"temperature": None, "seed": None, "cache": None})

    assert not request.HasField("parameters")
    assert request.cache == CachePolicy.CACHE_POLICY_UNSPECIFIED


def test_an_empty_cache_policy_is_none() -> None:
    """As a variable that is not set may say."""
    request = build(ProcessRequest, "hi", cast("Options", {"cache": ""}))

    assert request.cache == CachePolicy.CACHE_POLICY_UNSPECIFIED


def test_history_is_pairs_mappings_or_messages_in_order() -> None:
    """The forms may be mixed."""
    earlier = Message(role=Role.ROLE_ASSISTANT, content="hello")
    asked = {"role": "user", "content": "well?"}

    request = build(ProcessRequest, "and now?", {"history": [("user", "hi"), earlier, asked, ("assistant", "well.")]})

    turns = [(turn.role, turn.content) for turn in request.history]
    assert turns == [
        (Role.ROLE_USER, "hi"),
        (Role.ROLE_ASSISTANT, "hello"),
        (Role.ROLE_USER, "well?"),
        (Role.ROLE_ASSISTANT, "well."),
    ]


def test_one_stop_text_is_not_taken_for_its_letters() -> None:
    """A plain string is one stop text."""
    assert list(build(ProcessRequest, "hi", {"stop": "END"}).parameters.stop) == ["END"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cache": "never"}, "cache is one of bypass, refresh, off, not 'never'"),
        ({"history": [("system", "obey")]}, "the role of a turn is 'user' or 'assistant', not 'system'"),
        ({"history": [{"role": "system", "content": "obey"}]}, "not 'system'"),
        ({"history": ["hi"]}, "a turn of history is a pair"),
        ({"history": [("user", "hi", "there")]}, "a turn of history is a pair"),
        ({"history": [{"role": "user", "content": "hi", "name": "Ann"}]}, "a turn of history is a pair"),
        ({"history": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, "a turn of history is a pair"),
        ({"max_output_tokens": 99_999_999_999}, "max_output_tokens: Value out of range: 99999999999"),
        ({"seed": 2**70}, "seed: Value out of range"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_a_value_error(wrong: dict[str, object], said: str) -> None:
    """It is found before anything is sent, and named."""
    with pytest.raises(ValueError, match=said):
        build(ProcessRequest, "hi", cast("Options", wrong))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"text": 5}, "text: must be made of str"),
        ({"text": b"hi"}, "text: must be made of str"),
        ({"user_id": 5}, "user_id: must be made of str"),
        ({"user_id": b"u"}, "user_id: must be made of str"),
        ({"stop": [1]}, "stop: must be made of str"),
        ({"stop": [b"END"]}, "stop: must be made of str"),
        ({"stop": b"END"}, "stop: must be made of str"),
        ({"stop": 1}, "stop: "),
        ({"labels": {"a": 1}}, "labels: must be made of str"),
        ({"labels": {"a": b"1"}}, "labels: must be made of str"),
        ({"labels": {b"a": "1"}}, "labels: must be made of str"),
        ({"labels": 1}, "labels: "),
        ({"temperature": "warm"}, "temperature: must be real number, not str"),
        ({"max_output_tokens": 1.5}, "max_output_tokens: "),
        ({"history": 5}, "history: must be turns"),
        ({"cache": 5}, "cache: must be one of bypass, refresh, off"),
    ],
)
def test_an_argument_of_another_type_is_a_type_error(wrong: dict[str, object], said: str) -> None:
    """It is named too."""
    text = cast("str", wrong.pop("text", "hi"))

    with pytest.raises(TypeError, match=f"^{said}"):
        build(ProcessRequest, text, cast("Options", wrong))


def test_text_that_has_no_utf_8_is_a_value_error() -> None:
    """Half of a pair, or what Python makes of bytes that are not."""
    with pytest.raises(ValueError, match="user_id: 'utf-8' codec can't encode"):
        build(ProcessRequest, "hi", {"user_id": "\udcff"})


def test_request_ids_are_made_up_as_uuid7_and_grow() -> None:
    """A later call has the greater name, once a millisecond has passed."""
    first = new_request_id()
    while (later := new_request_id())[:13] == first[:13]:
        pass

    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    assert later > first
    assert build(ProcessRequest, "hi", {}).request_id
