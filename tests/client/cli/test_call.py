"""`penstock call` asks an agent."""

import io
import json
import sys
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RequestInfo, RetryInfo

from fakes.daemon import Ask, FakeDaemon, Refusal
from penstock.v1.agent_service_pb2 import CachePolicy, FinishReason

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_the_answer_is_the_whole_output(run: Run, stream: list[str]) -> None:
    """One line, nothing on standard error, whether whole or streamed."""
    assert run("call", "hello there", *stream) == (0, "hello there \n", "")


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_an_answer_that_ends_its_line_gets_no_other_end(run: Run, daemon: FakeDaemon, stream: list[str]) -> None:
    """The output is not changed where it is complete."""

    def behave(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
        yield from ("a\n", "b\n")

    daemon.behave = behave

    assert run("call", "hello", *stream) == (0, "a\nb\n", "")


def test_every_flag_reaches_the_request(run: Run, daemon: FakeDaemon) -> None:
    """Agent, user, parameters, cache and labels, and the key and deadline beside them."""
    line = "call hi --agent support --user u1 --max-output-tokens 9 --temperature 0.5 --cache off"

    run(*line.split(), "--label", "team=search", "--label", "k=a=b", "--api-key", "pk_1", "--timeout", "5s")

    request = daemon.requests[0]
    assert (request.agent, request.user_id) == ("support", "u1")
    assert (request.parameters.max_output_tokens, request.parameters.temperature) == (9, 0.5)
    assert request.cache == CachePolicy.CACHE_POLICY_OFF
    assert dict(request.labels) == {"team": "search", "k": "a=b"}
    assert daemon.metadata["authorization"] == "Bearer pk_1"
    assert 2 < daemon.seconds_left <= 5.1


def test_a_dash_reads_the_text_from_standard_input(
    run: Run, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that texts of any length can be asked."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("from\na pipe"))

    run("call", "-")

    assert daemon.requests[0].input == "from\na pipe"


def test_json_is_the_response_on_one_line(run: Run) -> None:
    """With the contract's own field names, and what is empty spelled out."""
    _, out, _ = run("call", "hello", "--json")

    response = json.loads(out)
    assert out.count("\n") == 1
    assert (response["output"], response["model_used"], response["cost_estimated"]) == ("hello ", "fast", False)


def test_json_of_a_stream_is_an_event_on_each_line(run: Run) -> None:
    """All of them as the contract has them; the text stands in the deltas alone."""
    _, out, _ = run("call", "hello there", "--json", "--stream")

    started, *deltas, completed = map(json.loads, out.splitlines())
    assert started["started"]["model_used"] == "fast"
    assert [each["delta"]["text"] for each in deltas] == ["hello ", "there "]
    assert completed["completed"]["response"]["model_used"] == "fast"
    assert completed["completed"]["response"]["output"] == ""


@pytest.mark.parametrize("typed", ["-", "a\udcff"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_bytes_that_are_not_utf_8_are_no_text(
    run: Run, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, typed: str, errors: str
) -> None:
    """From a pipe, as the locale has Python read it, or typed."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xff"), "utf-8", errors))

    assert run("call", typed) == (2, "", "penstock: the text to ask is not UTF-8\n")
    assert daemon.requests == []


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_a_refusal_is_one_line_and_exit_code_1(run: Run, daemon: FakeDaemon, stream: list[str]) -> None:
    """Reason, message, delay and the request's name; a message cannot forge a second line."""

    def behave(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
        details = RetryInfo(retry_delay=Duration(seconds=1, nanos=200_000_000)), RequestInfo(request_id="0190")
        context.abort_with_status(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", "slow\ndown", *details))
        yield ""

    daemon.behave = behave

    assert run("call", "hello", *stream) == (
        1,
        "",
        "penstock: RATE_LIMITED: slow down (retry in 1.20 s; request 0190)\n",
    )


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_broken_stream_keeps_what_was_printed(run: Run, daemon: FakeDaemon, as_json: list[str]) -> None:
    """And says that it broke."""
    daemon.forgets_completed = True

    code, out, err = run("call", "hello", "--stream", *as_json)

    assert code == 1
    assert out == "hello " or json.loads(out.splitlines()[-1]) == {"delta": {"text": "hello "}}
    assert err.startswith("penstock: STREAM_BROKEN: ")


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_an_answer_that_was_cut_is_not_shown_as_whole(run: Run, daemon: FakeDaemon, stream: list[str]) -> None:
    """One line on standard error; the answer is what it is, and was paid for."""
    daemon.completed.finish_reason = FinishReason.FINISH_REASON_LENGTH

    cut = "penstock: the answer is not whole: it was cut at max_output_tokens, or at the model's own limit\n"
    assert run("call", "hello", *stream) == (0, "hello \n", cut)
    assert run("call", "hello", "--json", *stream)[2] == ""


def test_a_number_that_is_too_large_is_named(run: Run) -> None:
    """Nothing is sent."""
    said = "penstock: max_output_tokens: Value out of range: 99999999999\n"
    assert run("call", "hello", "--max-output-tokens", "99999999999") == (2, "", said)
