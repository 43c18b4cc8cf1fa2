"""Builds the rulebook that the settings describe."""

from decimal import Decimal

from penstockd.config import BudgetSettings, LimitSettings, RateSetting, Settings, TenantSettings
from penstockd.period import Period
from penstockd.rules import BudgetRule, LimitRule, Per, Rate, Rulebook, TenantRules


def rulebook(settings: Settings) -> Rulebook:
    """Return every tenant's limits and budgets."""
    return Rulebook({name: _rules(tenant) for name, tenant in settings.tenants.items()})


def _rules(tenant: TenantSettings) -> TenantRules:
    return TenantRules(
        limits=[_limit(limit) for limit in tenant.limits], budgets=[_budget(budget) for budget in tenant.budgets]
    )


def _limit(settings: LimitSettings) -> LimitRule:
    return LimitRule(
        per=Per(settings.per),
        requests=_rate(settings.requests, settings.burst),
        tokens=_rate(settings.tokens),
        concurrency=settings.concurrency,
        is_shadow=settings.shadow,
    )


def _rate(rate: RateSetting | None, burst: int | None = None) -> Rate | None:
    """The rate; without a burst of its own, one period's worth at once."""
    return Rate(per_second=rate.per_second, burst=burst or rate.count, text=str(rate)) if rate else None


def _budget(settings: BudgetSettings) -> BudgetRule:
    period = Period(settings.period)
    span = "in total" if period is Period.TOTAL else f"per {period}"
    return BudgetRule(
        per=Per(settings.per),
        limit=settings.usd,
        period=period,
        text=f"{Decimal(settings.usd) / 10**9:f} USD {span}",
        alert_at=settings.alert_at,
        is_shadow=settings.shadow,
    )
