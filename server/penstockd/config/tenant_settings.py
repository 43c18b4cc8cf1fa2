"""Tenants: who may call, how fast, and for how much money."""

import re
from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from penstockd.config.errors import Mistake
from penstockd.config.names import ExistingAgent, Name
from penstockd.config.quantities import Count, NanoUsd, RateText, SomeShare
from penstockd.config.section import Section

_HASH: Final = re.compile(r"hmac-sha256:[0-9a-f]{64}", re.ASCII)

Subject = Literal["tenant", "user", "agent"]


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise Mistake("must be hmac-sha256: and 64 hex digits, as `penstockd keys new` prints it")
    return text


class KeySettings(Section):
    """One key of a tenant; `agents` None means every agent."""

    name: Name
    hash: Annotated[str, AfterValidator(_hash)]
    expires: date | None = None
    agents: tuple[ExistingAgent, ...] | None = None
    role: Literal["operator"] | None = None


class LimitSettings(Section):
    """One limit, for each subject on its own."""

    per: Subject
    requests: RateText | None = None
    burst: Count | None = None
    tokens: RateText | None = None
    concurrency: Count | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.requests is None and self.tokens is None and self.concurrency is None:
            raise Mistake("limits nothing: give requests, tokens or concurrency")
        if self.burst is not None and self.requests is None:
            raise Mistake("burst needs requests")
        return self


class BudgetSettings(Section):
    """What each subject may spend in a period (UTC), in nano-USD; written in USD."""

    per: Subject
    usd: NanoUsd
    period: Literal["day", "week", "month"] = "month"
    alert_at: tuple[SomeShare, ...] = (0.5, 0.8, 1.0)

    @field_validator("usd")
    @classmethod
    def _is_something(cls, usd: int) -> int:
        if not usd:
            raise Mistake("must be more than 0")
        return usd


class TenantSettings(Section):
    """One tenant."""

    keys: tuple[KeySettings, ...] = ()
    sans: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    limits: tuple[LimitSettings, ...] = ()
    budgets: tuple[BudgetSettings, ...] = ()
