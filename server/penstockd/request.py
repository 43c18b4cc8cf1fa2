"""What a caller asks for, validated, free of the wire it came by."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property

from msgspec import Struct


class Role(StrEnum):
    """Who spoke a turn."""

    USER = "user"
    ASSISTANT = "assistant"


class Turn(Struct, frozen=True):
    """One turn of a conversation."""

    role: Role
    content: str


class CachePolicy(StrEnum):
    """Whether a request reads the cache, writes to it, and joins an identical request in flight."""

    DEFAULT = "default"
    BYPASS = "bypass"
    REFRESH = "refresh"
    OFF = "off"

    # Kept with the members: every call asks.
    @cached_property
    def reads(self) -> bool:
        """Whether a kept answer may serve the request."""
        return self is CachePolicy.DEFAULT

    @cached_property
    def writes(self) -> bool:
        """Whether the answer may be kept."""
        return self in (CachePolicy.DEFAULT, CachePolicy.REFRESH)

    @cached_property
    def joins(self) -> bool:
        """Whether the answer being made for an identical request may serve this one too."""
        return self in (CachePolicy.DEFAULT, CachePolicy.BYPASS)


class Parameters(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an answer is generated; None and the empty `stop` leave the choice to the next in line."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def over(self, defaults: "Parameters") -> "Parameters":
        """These parameters, and `defaults` where these are silent."""
        if self is UNSET or self == UNSET:
            return defaults
        return Parameters(
            temperature=defaults.temperature if self.temperature is None else self.temperature,
            top_p=defaults.top_p if self.top_p is None else self.top_p,
            max_output_tokens=self.max_output_tokens or defaults.max_output_tokens,
            stop=self.stop or defaults.stop,
            seed=defaults.seed if self.seed is None else self.seed,
        )


UNSET = Parameters()
"""The parameters of a caller who says nothing."""

DEFAULTS = Parameters(max_output_tokens=4096)
"""What is sent upstream where neither the caller nor the agent says."""


class Request(Struct, frozen=True, kw_only=True):
    """One request to an agent; `request_id` is the caller's own name for it, or empty."""

    agent: str
    input: str
    history: tuple[Turn, ...] = ()
    user_id: str = ""
    request_id: str = ""
    idempotency_key: str = ""
    parameters: Parameters = UNSET
    cache: CachePolicy = CachePolicy.DEFAULT
    labels: Mapping[str, str] = {}
