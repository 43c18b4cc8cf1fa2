"""Tenants: who may call, how fast, and for how much money."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, field_validator, model_validator

from penstockd.api_key import SAMPLE_KEY, SAMPLE_PEPPER, digest
from penstockd.config.errors import Mistake
from penstockd.config.names import ExistingAgent, Name, distinct
from penstockd.config.quantities import Count, NanoUsd, RateText, SomeShare
from penstockd.config.section import Section

_HASH: Final = re.compile(r"hmac-sha256:[0-9a-f]{64}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

NOBODY_KNOWN: Final = "default"
"""The tenant of callers without credentials, in development."""

Subject = Literal["tenant", "user", "agent", "key"]


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise Mistake("must be hmac-sha256: and 64 hex digits, as `penstockd keys new` prints it")
    return text


def _date(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise Mistake("must be a date as YYYY-MM-DD, such as 2027-12-31")


class KeySettings(Section):
    """One key of a tenant; `agents` None means every agent."""

    name: Name
    hash: Annotated[str, AfterValidator(_hash)]
    expires: Annotated[date, PlainValidator(_date)] | None = None
    agents: tuple[ExistingAgent, ...] | None = None
    role: Literal["operator"] | None = None


class LimitSettings(Section):
    """One limit, for each subject on its own; a shadow counts and denies nothing."""

    per: Subject
    requests: RateText | None = None
    burst: Count | None = None
    tokens: RateText | None = None
    concurrency: Count | None = None
    shadow: bool = False

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.requests is None and self.tokens is None and self.concurrency is None:
            raise Mistake("limits nothing: give requests, tokens or concurrency")
        if self.burst is not None and self.requests is None:
            raise Mistake("burst needs requests")
        return self


class BudgetSettings(Section):
    """What each subject may spend in a period (UTC), in nano-USD; a shadow counts and denies nothing."""

    per: Subject
    usd: NanoUsd
    period: Literal["hour", "day", "month", "total"] = "month"
    alert_at: Annotated[tuple[SomeShare, ...], AfterValidator(distinct)] = (0.5, 0.8, 1.0)
    shadow: bool = False

    @field_validator("usd")
    @classmethod
    def _is_something(cls, usd: int) -> int:
        if not usd:
            raise Mistake("must be more than 0")
        return usd


class TenantSettings(Section):
    """One tenant."""

    keys: tuple[KeySettings, ...] = ()
    sans: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AfterValidator(distinct)] = ()
    limits: tuple[LimitSettings, ...] = ()
    budgets: tuple[BudgetSettings, ...] = ()

    @field_validator("keys")
    @classmethod
    def _have_names_of_their_own(cls, keys: tuple[KeySettings, ...]) -> tuple[KeySettings, ...]:
        distinct(tuple(key.name for key in keys))
        return keys


def refuse_twins(tenants: Mapping[str, TenantSettings]) -> None:
    """Raise a Mistake that names every key or certificate's name given before: it must say who calls."""
    sans = ((f"tenants.{name}.sans", san) for name, tenant in tenants.items() for san in tenant.sans)
    twins = [*_twins(sans), *_twins((path, key.hash) for path, key in _keys(tenants))]
    if twins:
        raise Mistake("; ".join(twins))


def refuse_samples(tenants: Mapping[str, TenantSettings], pepper: str) -> None:
    """Raise a Mistake for a key or a pepper that the documentation gives away."""
    if pepper == SAMPLE_PEPPER:
        raise Mistake("is the documentation's sample, which everybody knows: make one of your own")
    samples = (digest(SAMPLE_PEPPER, SAMPLE_KEY), digest(pepper, SAMPLE_KEY))
    for path, key in _keys(tenants):
        if key.hash in samples:
            raise Mistake(f"{path} is the documentation's sample key, which everybody knows: `penstockd keys new`")


def _keys(tenants: Mapping[str, TenantSettings]) -> Iterator[tuple[str, KeySettings]]:
    for name, tenant in tenants.items():
        for index, key in enumerate(tenant.keys):
            yield f"tenants.{name}.keys[{index}]", key


def _twins(values: Iterator[tuple[str, str]]) -> Iterator[str]:
    places: dict[str, str] = {}
    for path, value in values:
        if value in places:
            yield f"{path} repeats what {places[value]} has"
        places.setdefault(value, path)
