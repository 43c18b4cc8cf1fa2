"""Translates between the contract's messages and the values inside: checks what comes in, renders what goes out."""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message

from penstock.v1 import agent_service_pb2 as pb
from penstockd import request_id
from penstockd.errors import InvalidRequest, Violation
from penstockd.mistakes import (
    CACHE_POLICIES,
    MOST_LABELS,
    MOST_STOPS,
    MOST_TURNS,
    MOST_VIOLATIONS,
    ROLES,
    ProcessMessage,
    mistakes_of,
)
from penstockd.outcome import Attempt, CacheStatus, FinishReason, Outcome
from penstockd.request import UNSET, CachePolicy, Parameters, Request, Turn
from penstockd.usage import Usage

M = TypeVar("M", bound=Message)
_FINISH_REASONS = {
    FinishReason.STOP: pb.FINISH_REASON_STOP,
    FinishReason.LENGTH: pb.FINISH_REASON_LENGTH,
}
_CACHE_STATUSES = {
    CacheStatus.MISS: pb.CACHE_STATUS_MISS,
    CacheStatus.HIT: pb.CACHE_STATUS_HIT,
    CacheStatus.COALESCED: pb.CACHE_STATUS_COALESCED,
    CacheStatus.BYPASSED: pb.CACHE_STATUS_BYPASSED,
}


def parse(message_type: Callable[[], M], data: bytes) -> M:
    """Return the message that `data` is, or raise InvalidRequest without repeating any of it."""
    message = message_type()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        name = message.DESCRIPTOR.full_name
        violation = Violation("", f"its bytes are no {name}")
        raise InvalidRequest(f"the request's bytes are no {name}", violations=[violation]) from error
    return message


def read_request(message: ProcessMessage, *, default_agent: str) -> Request:
    """Return the request that `message` makes; raise InvalidRequest, which names the bad fields and the request."""
    request = Request(
        agent=message.agent or default_agent,
        input=message.input,
        history=_turns(message) if message.history and len(message.history) <= MOST_TURNS else (),
        user_id=message.user_id,
        request_id=message.request_id,
        idempotency_key=message.idempotency_key,
        parameters=_parameters(message.parameters) if message.HasField("parameters") else UNSET,
        cache=CACHE_POLICIES.get(message.cache, CachePolicy.DEFAULT),
        labels=dict(message.labels) if message.labels and len(message.labels) <= MOST_LABELS else {},
    )
    mistakes = mistakes_of(message, request)
    if mistakes:
        violations = [Violation(field, description) for field, description in mistakes[:MOST_VIOLATIONS]]
        summary = "; ".join(f"{violation.field}: {violation.description}" for violation in violations[:3])
        named = request.request_id if request_id.is_valid(request.request_id) else ""
        raise InvalidRequest(f"the request is not valid: {summary}", violations=violations, request_id=named)
    return request


def _turns(message: ProcessMessage) -> tuple[Turn, ...]:
    """What was said; nothing where a role is none, which is one of the mistakes."""
    try:
        return tuple(Turn(ROLES[turn.role], turn.content) for turn in message.history)
    except KeyError:
        return ()


def _parameters(message: pb.GenerationParameters) -> Parameters:
    return Parameters(
        temperature=message.temperature if message.HasField("temperature") else None,
        top_p=message.top_p if message.HasField("top_p") else None,
        max_output_tokens=message.max_output_tokens if message.HasField("max_output_tokens") else None,
        stop=tuple(message.stop[:MOST_STOPS]),
        seed=message.seed if message.HasField("seed") else None,
    )


def started(outcome: Outcome) -> pb.ProcessStreamResponse:
    """The event that opens a stream."""
    return pb.ProcessStreamResponse(
        started=pb.Started(
            request_id=outcome.request_id,
            model_used=outcome.model,
            cache_status=_CACHE_STATUSES[outcome.cache],
        )
    )


def delta(text: str) -> pb.ProcessStreamResponse:
    """The event that carries more text."""
    return pb.ProcessStreamResponse(delta=pb.Delta(text=text))


def completed(response: pb.ProcessResponse) -> pb.ProcessStreamResponse:
    """The event that ends a stream."""
    return pb.ProcessStreamResponse(completed=pb.Completed(response=response))


def response(outcome: Outcome, finish_reason: FinishReason, *, output: str, latency: float) -> pb.ProcessResponse:
    """The account of a whole answer; `latency` in seconds.

    Filled in where it lies: a message given to another one's constructor is copied, which costs three times as much.
    """
    response = pb.ProcessResponse()
    response.request_id = outcome.request_id
    response.output = output
    response.finish_reason = _FINISH_REASONS[finish_reason]
    response.model_used = outcome.model
    response.cache_status = _CACHE_STATUSES[outcome.cache]
    if (cost := outcome.cost_nanousd) is not None:
        response.cost_nanousd = cost
    if outcome.is_estimated:
        response.cost_estimated = True
    usage, used = outcome.usage, response.usage
    _set_usage(used, usage)
    _set_duration(response.latency, latency)
    for attempt in outcome.attempts:
        told = response.attempts.add()
        _set_attempt(told, attempt)
        if attempt.usage is usage:
            told.usage.CopyFrom(used)  # as a rule one attempt is all there is
        else:
            _set_usage(told.usage, attempt.usage)
    return response


def duration(seconds: float) -> Duration:
    """The message for a number of seconds."""
    message = Duration()
    _set_duration(message, seconds)
    return message


def _set_attempt(message: pb.Attempt, attempt: Attempt) -> None:
    message.model = attempt.model
    if attempt.reason:
        message.reason = attempt.reason
    if attempt.is_estimated:
        message.cost_estimated = True
    if attempt.cost_nanousd is not None:
        message.cost_nanousd = attempt.cost_nanousd
    ended_at = attempt.started_at if attempt.ended_at is None else attempt.ended_at
    _set_duration(message.latency, ended_at - attempt.started_at)


def _set_usage(message: pb.Usage, usage: Usage) -> None:
    input_tokens, output_tokens = usage.input, usage.output
    if not (input_tokens or output_tokens):
        message.SetInParent()
        return
    message.input_tokens = input_tokens
    message.output_tokens = output_tokens
    message.total_tokens = input_tokens + output_tokens
    if usage.cached_input:
        message.cached_input_tokens = usage.cached_input
    if usage.cache_write_input:
        message.cache_write_input_tokens = usage.cache_write_input
    if usage.reasoning:
        message.reasoning_tokens = usage.reasoning


def _set_duration(message: Duration, seconds: float) -> None:
    if seconds >= 1.0:
        message.seconds = int(seconds)
    # Set even if it is zero: it makes the message present.
    message.nanos = int(seconds % 1 * 1e9)
