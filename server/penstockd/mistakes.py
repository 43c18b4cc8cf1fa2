"""What is wrong with a request, field by field."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from penstock.v1 import agent_service_pb2 as pb
from penstockd import request_id
from penstockd.request import UNSET, CachePolicy, Request, Role

ProcessMessage = pb.ProcessRequest | pb.ProcessStreamRequest

MOST_VIOLATIONS = 20
"""Mistakes of one request that are named."""
MOST_TURNS = 10_000
"""Turns of one request's history: a message has room for a million, which are read before it is known who asks."""
MOST_LABELS = 16
"""Labels of one request."""
MOST_OF_LABELS = 5
"""Mistakes of labels that are named: their keys can be long, and a status has room for so much."""
MOST_STOPS = 4
"""Texts that end an answer."""
LONGEST_LABEL = 63
"""Characters of a label's key."""
NUL = "\0"
"""The one character that PostgreSQL does not store, neither in a row nor in what is asked of one."""

ROLES = {pb.ROLE_USER: Role.USER, pb.ROLE_ASSISTANT: Role.ASSISTANT}
CACHE_POLICIES = {
    pb.CACHE_POLICY_UNSPECIFIED: CachePolicy.DEFAULT,
    pb.CACHE_POLICY_BYPASS: CachePolicy.BYPASS,
    pb.CACHE_POLICY_REFRESH: CachePolicy.REFRESH,
    pb.CACHE_POLICY_OFF: CachePolicy.OFF,
}


def mistakes_of(message: ProcessMessage, request: Request) -> list[tuple[str, str]]:
    """What is wrong with what was read, field by field: all of it, or at least as much as is told of."""
    mistakes: list[tuple[str, str]] = []
    if not request.input:
        mistakes.append(("input", "must not be empty"))
    if message.history:
        mistakes += islice(_turn_violations(message), MOST_VIOLATIONS)
    if len(request.user_id) > 128 or NUL in request.user_id:
        mistakes.append(("user_id", "must have at most 128 characters, none of them NUL"))
    if request.request_id and not request_id.is_valid(request.request_id):
        mistakes.append(("request_id", "must be 1 to 128 of A-Z a-z 0-9 . _ -"))
    if len(request.idempotency_key) > 255:
        mistakes.append(("idempotency_key", "must have at most 255 characters"))
    if message.cache not in CACHE_POLICIES:
        mistakes.append(("cache", "must be a CachePolicy"))
    if request.parameters is not UNSET:
        mistakes += _parameter_violations(message.parameters)
    if message.labels:
        mistakes += _label_violations(message)
    return mistakes


def _turn_violations(message: ProcessMessage) -> Iterator[tuple[str, str]]:
    if len(message.history) > MOST_TURNS:
        yield "history", f"must have at most {MOST_TURNS} turns"
        return
    for index, turn in enumerate(message.history):
        if turn.role not in ROLES:
            yield f"history[{index}].role", "must be ROLE_USER or ROLE_ASSISTANT"


def _parameter_violations(parameters: pb.GenerationParameters) -> Iterator[tuple[str, str]]:
    if parameters.HasField("temperature") and not 0 <= parameters.temperature <= 2:
        yield "parameters.temperature", "must be from 0 to 2"
    if parameters.HasField("top_p") and not 0 < parameters.top_p <= 1:
        yield "parameters.top_p", "must be above 0, at most 1"
    if parameters.HasField("max_output_tokens") and parameters.max_output_tokens < 1:
        yield "parameters.max_output_tokens", "must be at least 1"
    if len(parameters.stop) > MOST_STOPS:
        yield "parameters.stop", f"must have at most {MOST_STOPS} texts"
    if any(not text for text in parameters.stop[:MOST_STOPS]):
        yield "parameters.stop", "must not hold an empty text"


def _label_violations(message: ProcessMessage) -> Iterator[tuple[str, str]]:
    if len(message.labels) > MOST_LABELS:
        yield "labels", f"must have at most {MOST_LABELS} entries"
    yield from islice(_entry_violations(message), MOST_OF_LABELS)


def _entry_violations(message: ProcessMessage) -> Iterator[tuple[str, str]]:
    for key, value in islice(message.labels.items(), MOST_LABELS):
        # Quoted as JSON is: a key can hold anything.
        field = f"labels[{msgspec.json.encode(key[:LONGEST_LABEL]).decode()}]"
        if not 1 <= len(key) <= LONGEST_LABEL:
            yield field, f"must have a key of 1 to {LONGEST_LABEL} characters"
        if len(value) > 256:
            yield field, "must have a value of at most 256 characters"
