"""What binds a call or an attempt, and how a budget stands."""

from math import inf
from typing import Any

from msgspec.structs import replace

from penstockd.budgets import Standing
from penstockd.limits import Amounts, BudgetDemand, BudgetState, LeaseDemand, RateDemand

USD = 1_000_000_000
ONE = Amounts(of_rates=1, nanousd=USD)
"""A request or a token, and a dollar."""


def rate(*, key: str = "rate", per_second: float = 1.0, burst: float = 10, is_shadow: bool = False) -> RateDemand:
    """A rate."""
    return RateDemand(
        key=key,
        tenant="acme",
        per="user",
        subject="user:acme/u1",
        rule=f"{per_second:g}/s requests",
        rate=per_second,
        burst=burst,
        is_shadow=is_shadow,
    )


def lease(limit: int = 1, *, key: str = "lease", ttl: float = 600.0, is_shadow: bool = False) -> LeaseDemand:
    """One of so many places."""
    return LeaseDemand(
        key=key,
        tenant="acme",
        per="tenant",
        subject="tenant:acme",
        rule=f"{limit} concurrent requests",
        limit=limit,
        ttl=ttl,
        is_shadow=is_shadow,
    )


def budget(
    limit: int = 10 * USD,
    *,
    key: str = "budget",
    resets_at: float | None = None,
    alert_at: tuple[float, ...] = (),
    is_shadow: bool = False,
) -> BudgetDemand:
    """A budget of so many nano-USD."""
    return BudgetDemand(
        key=key,
        tenant="acme",
        per="tenant",
        subject="tenant:acme",
        rule=f"{limit / USD:g} USD in total",
        limit=limit,
        resets_at=resets_at,
        alert_at=alert_at,
        first_alert=min(alert_at, default=inf) * limit,
        is_shadow=is_shadow,
    )


def standing(*, limit: int, spent: int = 0, held: int = 0, **fields: Any) -> Standing:  # noqa: ANN401 - as a demand has them
    """How a budget of so many nano-USD stands."""
    return Standing(demand=replace(budget(limit), **fields), state=BudgetState(spent=spent, held=held))
