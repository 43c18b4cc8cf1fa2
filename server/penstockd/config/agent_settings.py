"""Agents: what each is told, or which Python runs it, and which models it may ask."""

from typing import Annotated, Final, Literal

from annotated_types import Ge, Le, Len
from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, ValidationInfo, field_validator

from penstockd.config.context import Context
from penstockd.config.errors import Mistake
from penstockd.config.names import Reference, existing
from penstockd.config.quantities import Count, Number, SomeShare, Time, Whole
from penstockd.config.route_settings import RouteSettings
from penstockd.config.section import Section

_INT64: Final = 2**63


class ParameterSettings(Section):
    """How answers are generated where the caller does not say."""

    temperature: Annotated[Number, Ge(0), Le(2)] | None = None
    top_p: SomeShare | None = None
    max_output_tokens: Count | None = None
    stop: Annotated[tuple[Annotated[str, Len(1)], ...], Len(0, 4)] = ()
    seed: Annotated[Whole, Ge(-_INT64), Le(_INT64 - 1)] | None = None


class AgentCacheSettings(Section):
    """How long this agent's answers are kept, in seconds."""

    ttl: Time | None = None


def is_off(cache: object) -> bool:
    """Whether an agent's `cache` is the short form that keeps nothing."""
    return cache is False or (isinstance(cache, str) and cache.lower() == "off")


def _cache_form(cache: object) -> str | None:
    return "[off]" if cache == "off" else "[map]"


def _off(cache: object) -> object:
    if cache is None or isinstance(cache, dict):
        return cache
    if is_off(cache):
        return "off"
    raise Mistake("must be off, or a map such as {ttl: 10m}")


_Cache = Annotated[
    Annotated[AgentCacheSettings, Tag("[map]")] | Annotated[Literal["off"], Tag("[off]")], Discriminator(_cache_form)
]


def _route(route: object, info: ValidationInfo[Context]) -> object:
    match route:
        case None if not info.context.models:
            return RouteSettings.model_construct()  # a pool that is none is a mistake of its own
        case None if len(info.context.models) == 1:
            return {"models": list(info.context.models)}
        case None:
            raise Mistake("required, because there is more than one model")
        case str(name):
            return _named(existing("route", name, info.context.routes), info.context)
        case _:
            return route


def _named(name: str, context: Context) -> RouteSettings:
    try:
        return RouteSettings.model_validate(context.routes[name], context=context)
    except ValidationError:
        return RouteSettings.model_construct()  # what is wrong with it is said where it is defined


class AgentSettings(Section):
    """One agent. With neither `instructions` nor `python` it passes on what it is given."""

    description: str = ""
    instructions: str | None = None
    python: Reference | None = None
    route: Annotated[RouteSettings, BeforeValidator(_route)] = Field(default=None, validate_default=True)
    parameters: ParameterSettings = ParameterSettings()
    cache: Annotated[_Cache | None, BeforeValidator(_off)] = None

    @field_validator("python")
    @classmethod
    def _is_one_or_the_other(cls, python: str | None, info: ValidationInfo[Context]) -> str | None:
        if python is not None and info.data.get("instructions") is not None:
            raise Mistake("excludes instructions: an agent is one or the other")
        return python
