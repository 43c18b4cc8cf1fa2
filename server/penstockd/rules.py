"""The limits and budgets of every tenant, and what each of them asks of one call."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from math import inf
from typing import TypeAlias

from msgspec import Struct

from penstockd.limits import BudgetDemand, Demand, LeaseDemand, RateDemand
from penstockd.period import HOUR, Period
from penstockd.principal import Principal

LONGEST_AGENT = 69
"""Characters of the longest name an agent can have, "model/" and a model's; what is longer names none."""

CALLERS = 2048
"""Callers that rules tell apart, of whom it is kept what they are asked."""


class Per(StrEnum):
    """Whom a rule counts, each on its own, always inside one tenant."""

    TENANT = "tenant"
    USER = "user"
    AGENT = "agent"
    KEY = "key"


# Formatting an enum costs three times as much as its word.
_WORDS = {per: per.value for per in Per}


class Caller(Struct, frozen=True, kw_only=True):
    """For whom a rule is applied."""

    principal: Principal
    user_id: str
    agent: str

    def name(self, per: Per) -> str:
        """What this caller is called among those whom a rule counts; empty where it has no such name."""
        match per:
            case Per.TENANT:
                return self.principal.tenant
            case Per.USER:
                return self.user_id
            case Per.AGENT:
                return self.agent[:LONGEST_AGENT]
            case Per.KEY:
                return self.principal.key

    def subject(self, per: Per) -> str:
        """The name under which a rule counts this caller, such as "user:acme/u1"."""
        tenant = self.principal.tenant
        return f"tenant:{tenant}" if per is Per.TENANT else f"{_WORDS[per]}:{tenant}/{self.name(per)}"


def kind_and_tenant(subject: str) -> tuple[str, str]:
    """The bounded part of a subject, such as ("user", "acme") of "user:acme/u1": what may label a metric."""
    kind, _, rest = subject.partition(":")
    return kind, rest.partition("/")[0]


class Rate(Struct, frozen=True, kw_only=True, dict=True):
    """So many a second on average, `burst` at once; `text` as configured, such as "600/m"."""

    per_second: float
    burst: float
    text: str

    @cached_property
    def key(self) -> str:
        """What tells its state from that of any other rate of the same subject."""
        return f"{self.text}:{self.burst:g}"


class LimitRule(Struct, frozen=True, kw_only=True):
    """One limit of a tenant."""

    per: Per
    requests: Rate | None = None
    tokens: Rate | None = None
    concurrency: int | None = None
    is_shadow: bool = False


class BudgetRule(Struct, frozen=True, kw_only=True):
    """What each subject may spend in a period, in nano-USD."""

    per: Per
    limit: int
    period: Period
    text: str
    alert_at: tuple[float, ...] = ()
    is_shadow: bool = False


class TenantRules(Struct, frozen=True, kw_only=True):
    """A tenant's limits and budgets, in the order of the configuration."""

    limits: Sequence[LimitRule] = ()
    budgets: Sequence[BudgetRule] = ()


_UNBOUND = TenantRules()

_Names: TypeAlias = tuple[str, str, str, str]
"""A caller's tenant, key, user and agent: texts, whose hashes are known, are found faster than a Caller."""


class Rulebook:
    """Every tenant's rules, and what they ask of one call."""

    def __init__(self, tenants: Mapping[str, TenantRules]) -> None:
        """A tenant that is not here has no limits."""
        self.tenants = tenants
        # What a caller is asked hardly changes from call to call, and half of it is names.
        self._admission = lru_cache(maxsize=CALLERS)(partial(_asked_at_admission, tenants))
        self._attempt = lru_cache(maxsize=CALLERS)(partial(_asked_of_an_attempt, tenants))
        self._counts_by = {
            tenant: _counts_by(rules) for tenant, rules in tenants.items() if rules.limits or rules.budgets
        }

    def of(self, tenant: str) -> TenantRules:
        """The rules of `tenant`."""
        return self.tenants.get(tenant, _UNBOUND)

    def admission(self, caller: Caller, *, lease_ttl: float) -> Sequence[Demand]:
        """What binds one call at its admission: its rates of requests, and its concurrency limits."""
        names = self._told_apart(caller)
        return () if names is None else self._admission(names, lease_ttl)

    def attempt(self, caller: Caller, *, now: float) -> Sequence[Demand]:
        """What binds one attempt: its rates of tokens, then its budgets; `now` in unix seconds."""
        names = self._told_apart(caller)
        return () if names is None else self._attempt(names, now // HOUR)

    def _told_apart(self, caller: Caller) -> _Names | None:
        """The caller's names but for those that no rule counts by, none of any length; None where no rule is.

        What is kept is by these, which are the fewer.
        """
        principal = caller.principal
        counts_by = self._counts_by.get(principal.tenant)
        if counts_by is None:
            return None
        by_key, by_user, by_agent = counts_by
        return (
            principal.tenant,
            principal.key if by_key else "",
            caller.user_id if by_user else "",
            caller.agent[:LONGEST_AGENT] if by_agent else "",
        )


def _counts_by(rules: TenantRules) -> tuple[bool, bool, bool]:
    """Whether any rule counts by key, whether any does by user, and whether any does by agent."""
    counted = {rule.per for rule in rules.limits} | {rule.per for rule in rules.budgets}
    return Per.KEY in counted, Per.USER in counted, Per.AGENT in counted


def _called(names: _Names) -> Caller:
    tenant, key, user_id, agent = names
    return Caller(principal=Principal(tenant=tenant, key=key), user_id=user_id, agent=agent)


def _asked_at_admission(tenants: Mapping[str, TenantRules], names: _Names, lease_ttl: float) -> Sequence[Demand]:
    demands: list[Demand] = []
    caller = _called(names)
    tenant = caller.principal.tenant
    for rule in tenants.get(tenant, _UNBOUND).limits:
        subject = caller.subject(rule.per)
        if rule.requests is not None:
            demands.append(_rate(rule, rule.requests, caller, "requests", is_told=not rule.is_shadow))
        if rule.concurrency is not None:
            demands.append(
                LeaseDemand(
                    key=f"lease:{subject}",
                    tenant=tenant,
                    per=_WORDS[rule.per],
                    subject=subject,
                    rule=f"{rule.concurrency} concurrent requests",
                    limit=rule.concurrency,
                    ttl=lease_ttl,
                    is_shadow=rule.is_shadow,
                )
            )
    return tuple(demands)


def _asked_of_an_attempt(tenants: Mapping[str, TenantRules], names: _Names, hour: float) -> Sequence[Demand]:
    """Periods begin and end with an `hour`, counted from 1970."""
    caller = _called(names)
    rules = tenants.get(caller.principal.tenant, _UNBOUND)
    rates = [
        _rate(rule, rule.tokens, caller, "tokens", is_told=False) for rule in rules.limits if rule.tokens is not None
    ]
    return (*rates, *(budget_demand(rule, caller, hour * HOUR) for rule in rules.budgets))


def budget_demand(rule: BudgetRule, caller: Caller, now: float) -> BudgetDemand:
    """What `rule` asks of `caller` in the period that holds `now`, unix seconds.

    The key leaves the limit out: a changed limit finds what was already spent.
    """
    span, subject = rule.period.span(now), caller.subject(rule.per)
    return BudgetDemand(
        key=f"budget:{span.key}:{subject}",
        tenant=caller.principal.tenant,
        per=_WORDS[rule.per],
        subject=subject,
        rule=rule.text,
        limit=rule.limit,
        resets_at=span.end,
        alert_at=rule.alert_at,
        first_alert=min(rule.alert_at, default=inf) * rule.limit,
        is_shadow=rule.is_shadow,
    )


def _rate(rule: LimitRule, rate: Rate, caller: Caller, unit: str, *, is_told: bool) -> RateDemand:
    subject = caller.subject(rule.per)
    return RateDemand(
        key=f"{unit}:{rate.key}:{subject}",
        tenant=caller.principal.tenant,
        per=_WORDS[rule.per],
        subject=subject,
        rule=f"{rate.text} {unit}",
        rate=rate.per_second,
        burst=rate.burst,
        is_shadow=rule.is_shadow,
        is_told=is_told,
    )
