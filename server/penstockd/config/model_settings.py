"""The pool: where each model is, what it costs, and what may be asked of it."""

import re
from typing import Annotated, Final

import msgspec
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from penstockd.config.context import Context
from penstockd.config.errors import Mistake, nearest
from penstockd.config.names import is_reference
from penstockd.config.places import BaseUrl, ReadableFile
from penstockd.config.quantities import Count, NanoUsd, RateText, Time
from penstockd.config.secret import ProxyUrl, Secret, SecretText
from penstockd.config.section import Section

BUILT_IN: Final = ("openai", "anthropic", "echo")
OURS: Final = frozenset(
    (
        *("model", "messages", "system", "max_tokens", "max_completion_tokens", "temperature", "top_p"),
        *("stop", "stop_sequences", "seed", "stream", "stream_options", "n"),
    )
)
"""Fields of a request that our dialects write, and `n`: of several answers one is read, and all are paid for."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def _provider(text: str) -> str:
    if text not in BUILT_IN and not is_reference(text):
        raise Mistake(f"must be {', '.join(BUILT_IN)} or package.module:factory", nearest(text, BUILT_IN))
    return text


def _header(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise Mistake("is no name of an HTTP header")
    return name


def _field(name: str) -> str:
    if not _FIELD.fullmatch(name):
        raise Mistake("must be the name of a field, such as max_completion_tokens")
    return name


def _more(name: str, info: ValidationInfo[Context]) -> str:
    if name in OURS or name == info.data.get("max_tokens_field"):
        raise Mistake("is set by Penstock itself: see the parameters of agents and of calls")
    return name


def _json(value: object) -> object:
    try:
        is_json = msgspec.json.decode(msgspec.json.encode(value)) == value
    except (TypeError, ValueError, RecursionError):
        is_json = False
    if not is_json:
        raise Mistake("must be JSON: text in quotes, numbers, true, false, or lists and maps of them")
    return value


class PriceSettings(Section):
    """What a million tokens cost, in nano-USD; written in USD."""

    input: NanoUsd
    output: NanoUsd
    cached_input: NanoUsd = Field(default_factory=lambda given: given["input"])
    cache_write: NanoUsd = Field(default_factory=lambda given: given["input"])


class TimeoutSettings(Section):
    """The longest that parts of one attempt may take, in seconds."""

    connect: Time = 2.0
    first_token: Time = 20.0
    idle: Time = 15.0
    total: Time = 120.0


class ModelLimitSettings(Section):
    """What the provider grants us; a model that is full is passed over."""

    requests: RateText | None = None
    tokens: RateText | None = None


class ModelSettings(Section):
    """One model of the pool. Without `base_url` it is where its provider is."""

    provider: Annotated[str, AfterValidator(_provider)]
    base_url: BaseUrl | None = None
    api_key: SecretText | None = Field(default=None, validate_default=True)
    model: str = Field(default="", validate_default=True)
    price: PriceSettings | None = None
    timeouts: TimeoutSettings = TimeoutSettings()
    max_in_flight: Count = 100
    limits: ModelLimitSettings = ModelLimitSettings()
    headers: dict[Annotated[str, AfterValidator(_header)], SecretText] = Field(default_factory=dict)
    ca: ReadableFile | None = None
    proxy: ProxyUrl | None = None
    max_tokens_field: Annotated[str, AfterValidator(_field)] | None = None
    body: dict[Annotated[str, AfterValidator(_more)], Annotated[object, AfterValidator(_json)]] = Field(
        default_factory=dict
    )

    @field_validator("api_key")
    @classmethod
    def _has_key(cls, key: Secret | None, info: ValidationInfo[Context]) -> Secret | None:
        provider = info.data.get("provider")
        if key is None and provider == "anthropic":
            raise Mistake("required by the provider anthropic")
        if key is None and provider == "openai" and info.data.get("base_url", "") is None:
            raise Mistake("required by the provider openai, unless base_url names a server that takes none")
        return key

    @field_validator("model")
    @classmethod
    def _has_name(cls, model: str, info: ValidationInfo[Context]) -> str:
        provider = info.data.get("provider")
        if not model and provider in ("openai", "anthropic"):
            raise Mistake("required: the model's name upstream")
        return "echo" if not model and provider == "echo" else model
