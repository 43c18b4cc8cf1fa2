"""What to ask: plain arguments made into the contract's request messages."""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypedDict, TypeVar, cast
from uuid import UUID

from penstock.message import make
from penstock.v1.agent_service_pb2 import (
    CachePolicy,
    GenerationParameters,
    Message,
    ProcessRequest,
    ProcessStreamRequest,
    Role,
)

Turn = Message | tuple[str, str] | Mapping[str, str]
"""One earlier turn of a conversation: who spoke, "user" or "assistant", and what was said.

A message of the contract, a pair, or a mapping with "role" and "content".
"""

_ROLES = {"user": Role.ROLE_USER, "assistant": Role.ROLE_ASSISTANT}
_POLICIES = {
    "bypass": CachePolicy.CACHE_POLICY_BYPASS,
    "refresh": CachePolicy.CACHE_POLICY_REFRESH,
    "off": CachePolicy.CACHE_POLICY_OFF,
}

Ask = TypeVar("Ask", ProcessRequest, ProcessStreamRequest)


class Options(TypedDict, total=False):
    """What a call may say beside its text; whatever is left out is the agent's or the server's choice.

    agent: who answers, or "model/<name>" for a pool model bare. history: earlier turns, oldest first. user_id: the end
    user, for limits and cost. request_id: a name in logs and traces; made up if left out. idempotency_key: the same
    key with the same request joins or replays. temperature, top_p, max_output_tokens, stop, seed: how to generate.
    cache: "bypass" neither reads nor writes, "refresh" only writes, "off" does not even join a running call. labels:
    names for cost attribution.
    """

    agent: str
    history: Sequence[Turn]
    user_id: str
    request_id: str
    idempotency_key: str
    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None
    stop: str | Sequence[str]
    seed: int | None
    cache: Literal["bypass", "refresh", "off"] | None
    labels: Mapping[str, str]


def build(kind: type[Ask], text: str, options: Options) -> Ask:
    """Make the request.

    Raises TypeError for an option of another type, and ValueError for an unknown role or cache policy and for what the
    contract has no room for.
    """
    given = {name: value for name, value in options.items() if value is not None}
    parameters = {name: given.pop(name) for name in GenerationParameters.DESCRIPTOR.fields_by_name if name in given}
    if isinstance(parameters.get("stop"), str):
        parameters["stop"] = [parameters["stop"]]
    if "history" in given:
        given["history"] = _history(given["history"])
    if policy := given.pop("cache", None):
        given["cache"] = _policy(policy)
    generation = make(GenerationParameters, **parameters)
    given["request_id"] = given.get("request_id") or new_request_id()
    return make(kind, input=text, parameters=generation if generation.ListFields() else None, **given)


def new_request_id() -> str:
    """Return a new UUIDv7 (RFC 9562, section 5.7), so that even a call that reached nobody has a name."""
    milliseconds = time.time_ns() // 1_000_000
    version, variant = 0x7 << 76, 0b10 << 62
    return str(UUID(int=milliseconds << 80 | version | secrets.randbits(12) << 64 | variant | secrets.randbits(62)))


def _policy(name: object) -> CachePolicy:
    if not isinstance(name, str):
        raise TypeError(f"cache: must be one of {', '.join(_POLICIES)}")
    if name.lower() not in _POLICIES:
        raise ValueError(f"cache is one of {', '.join(_POLICIES)}, not {name!r}")
    return _POLICIES[name.lower()]


def _history(turns: object) -> list[Message]:
    if not isinstance(turns, Iterable):
        raise TypeError("history: must be turns, such as [('user', 'hi')]")
    return [_message(cast("Turn", turn)) for turn in turns]


def _message(turn: Turn) -> Message:
    match turn:
        case Message():
            return turn
        case (str(role), str(content)):
            pass
        case {"role": str(role), "content": str(content)} if len(turn) == 2:
            pass
        case _:
            raise ValueError("a turn of history is a pair, ('user', 'hi'), or {'role': 'user', 'content': 'hi'}")
    if role.lower() not in _ROLES:
        raise ValueError(f"the role of a turn is 'user' or 'assistant', not {role!r}")
    return Message(role=_ROLES[role.lower()], content=content)
