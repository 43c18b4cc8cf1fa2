"""What comes of a denial: a number for operators, and for the caller whom it binds, by which rule, and until when."""

from datetime import UTC, datetime
from math import isinf
from typing import assert_never

from opentelemetry.metrics import Meter

from penstockd import conventions as names
from penstockd.errors import BudgetExhausted, InvalidRequest, PenstockError, Quota, RateLimited, Violation
from penstockd.limits import BudgetDemand, Denial, LeaseDemand, RateDemand, Verdict
from penstockd.rules import kind_and_tenant


class Denials:
    """Counts what limits and budgets deny, and what shadows would have."""

    def __init__(self, meter: Meter) -> None:
        """Count by tenant and rule, of which the configuration has so many."""
        self._denials = meter.create_counter(
            names.PENSTOCK_LIMIT_DENIALS,
            unit="{call}",
            description="Calls and attempts that a limit or budget denied, or would have denied were it no shadow.",
        )

    def judge(self, verdict: Verdict) -> None:
        """Count what `verdict` denies; raise what a denial means for the caller."""
        for shadow in verdict.shadows:
            self._count(shadow)
        if verdict.denial is not None:
            self._count(verdict.denial)
            raise refusal(verdict.denial)

    def _count(self, denial: Denial) -> None:
        per, tenant = kind_and_tenant(denial.demand.subject)
        attributes: dict[str, str | bool] = {
            names.PENSTOCK_TENANT: tenant,
            names.PENSTOCK_RULE_PER: per,
            names.PENSTOCK_RULE: denial.demand.rule,
            names.PENSTOCK_RULE_SHADOW: denial.demand.is_shadow,
        }
        self._denials.add(1, attributes)


def refusal(denial: Denial) -> PenstockError:
    """Return what `denial` means for the caller: whom it binds, by which rule, and when to come back."""
    demand = denial.demand
    quota = Quota(demand.subject, demand.rule)
    match demand:
        case RateDemand() if isinf(denial.retry_after):
            description = f"the call may take {demand.amount:.0f}, but {demand.rule} allow {demand.burst:.0f} at once"
            violation = Violation("parameters.max_output_tokens", description)
            return InvalidRequest(f"the call is larger than a limit: {description}", violations=[violation])
        case RateDemand() | LeaseDemand():
            message = f"{demand.subject} is over its limit of {demand.rule}"
            return RateLimited(message, retry_after=denial.retry_after, quota=quota)
        case BudgetDemand():
            message = f"the budget of {demand.subject}, {demand.rule}, is used up"
            return BudgetExhausted(message, retry_after=-1, metadata=_reset_time(demand), quota=quota)
        case _:
            assert_never(demand)


def _reset_time(demand: BudgetDemand) -> dict[str, str]:
    """When the budget's next period begins, as RFC 3339 writes it."""
    if demand.resets_at is None:
        return {}
    return {"reset_time": datetime.fromtimestamp(demand.resets_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
