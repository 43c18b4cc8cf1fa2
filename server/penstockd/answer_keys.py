"""Tells apart whatever may shape an answer, in keys from which nobody can guess a prompt."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

import msgspec

from penstockd.agent import Agent
from penstockd.call import Call
from penstockd.request import Parameters, Request

VERSION = 1
"""Of the keys' form: another one makes other keys of the same requests."""

_encode = msgspec.msgpack.Encoder().encode


class AnswerKeys:
    """Makes keys under `secret`, 16 to 64 bytes: without it a key cannot be made for a prompt that is guessed.

    Requests get equal keys if and only if they are equal in all that may shape their answers. What is hashed is
    MessagePack of a fixed form, in which every text has its length, so that no two requests run together.
    """

    def __init__(self, secret: bytes) -> None:
        self._keyed = blake2b(key=secret, digest_size=32)

    def key_of(self, call: Call[Request], agent: Agent) -> str:
        """Return `tenant:agent:version:digest` of what shapes the agent's answer, streamed or whole alike.

        Parameters count as the model gets them, so that a default is the same unsaid and said. Where answers are never
        shared between users, the agent sees the request itself: there user, labels and what was said all count.
        """
        request, caching, tenant = call.request, agent.caching, call.tenant
        is_per_user = caching is not None and caching.per_user
        digest = self._digest(
            VERSION,
            tenant,
            agent.name,
            agent.fingerprint,
            request.input,
            [(turn.role, turn.content) for turn in request.history] if request.history else [],
            _numbers(request.parameters.over(agent.parameters)),
            (request.user_id, _pairs(request.labels), _numbers(request.parameters)) if is_per_user else (),
        )
        return f"{tenant}:{agent.name}:{VERSION}:{digest}"

    def fingerprint_of(self, call: Call[Request]) -> str:
        """Return a digest of all that the call asks; its name, idempotency key and cache policy are left out."""
        request = call.request
        return self._digest(
            VERSION,
            call.tenant,
            request.agent,
            request.input,
            [(turn.role, turn.content) for turn in request.history],
            request.user_id,
            _numbers(request.parameters),
            _pairs(request.labels),
        )

    def _digest(self, *parts: object) -> str:
        digest = self._keyed.copy()
        digest.update(_encode(parts))
        return digest.hexdigest()


def owner(key: str) -> tuple[str, str]:
    """Return the tenant and the agent of a key."""
    tenant, agent, _ = key.split(":", 2)
    return tenant, agent


def _numbers(parameters: Parameters) -> Sequence[object]:
    # Stop texts may be long, and nothing long is remembered.
    return _in_order(parameters) if parameters.stop else _remembered(parameters)


def _in_order(parameters: Parameters) -> Sequence[object]:
    """The parameters in a fixed order; a temperature of 1 is as 1.0, -0.0 as 0.0, and stop texts in any order alike."""
    temperature, top_p = parameters.temperature, parameters.top_p
    return (
        None if temperature is None else temperature + 0.0,
        None if top_p is None else top_p + 0.0,
        parameters.max_output_tokens,
        sorted(set(parameters.stop)),
        parameters.seed,
    )


_remembered = lru_cache(maxsize=256)(_in_order)


def _pairs(labels: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return sorted(labels.items())
