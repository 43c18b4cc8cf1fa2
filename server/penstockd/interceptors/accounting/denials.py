"""What comes of a denial: a number for operators, and for the caller whom it binds, by which rule, and until when."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import isinf
from typing import assert_never

from penstockd import conventions as names
from penstockd.errors import SMALLER, BudgetExhausted, PenstockError, Quota, RateLimited, too_large
from penstockd.limits import BudgetDemand, Demand, Denial, LeaseDemand, RateDemand, Verdict
from penstockd.metrics.instruments import Count, Counter, Instruments
from penstockd.metrics.rule_labels import rule_label, untold
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.rules import CALLERS, kind_and_tenant
from penstockd.tracing import present

_LABELS = (names.PENSTOCK_RULE, names.PENSTOCK_RULE_PER, names.PENSTOCK_RULE_SHADOW, names.PENSTOCK_TENANT)
_NAMELESS = {"user": "calls without a user_id", "key": "calls without a key"}
"""Who are counted together, for want of a name."""
KEPT = 2 * CALLERS
"""Demands whose series are remembered: those that rules keep of callers, at their admission and of an attempt."""


class Denials:
    """Counts what limits and budgets let pass and what they deny, and what shadows would have."""

    def __init__(self, instruments: Instruments, tenants: TenantLabels) -> None:
        """Count by rule, and by tenant as far as `tenants` tells them apart."""
        self._tenants = tenants
        self._admissions = instruments.counter(
            names.PENSTOCK_LIMIT_ADMISSIONS,
            unit="{call}",
            description="Calls and attempts that a limit or budget let pass.",
            labels=_LABELS,
            beyond=_without_rule,
        )
        self._denials = instruments.counter(
            names.PENSTOCK_LIMIT_DENIALS,
            unit="{call}",
            description="Calls and attempts that a limit or budget denied, or would have denied were it no shadow.",
            labels=_LABELS,
            beyond=_without_rule,
        )
        # With the demands themselves, as an id is another's once its owner is gone.
        self._admitted: dict[tuple[int, str], tuple[Sequence[Demand], Sequence[Count]]] = {}

    def judge(self, verdict: Verdict, demands: Sequence[Demand]) -> None:
        """Count what `verdict` means for `demands`; raise what a denial means for the caller."""
        if verdict.denial is None and not verdict.shadows:
            self._admit(demands)
            return
        denied = [shadow.demand for shadow in verdict.shadows]
        self._count(self._denials, denied)
        if verdict.denial is not None:
            denied_by = verdict.denial.demand
            self._count(self._denials, [denied_by])
            if trace := present():
                rule = {names.PENSTOCK_RULE: denied_by.rule, names.PENSTOCK_RULE_PER: denied_by.per}
                trace.note(names.DENIED_EVENT, rule)
            raise refusal(verdict.denial)
        self._count(self._admissions, [demand for demand in demands if demand not in denied])

    def _admit(self, demands: Sequence[Demand]) -> None:
        """Count that all of `demands` let a call pass, which are the same ones at each call of their caller."""
        if not demands:
            return
        label = self._tenants.of(demands[0].tenant)
        admitted = self._admitted.get((id(demands), label))
        if admitted is None:
            if len(self._admitted) >= KEPT:
                self._admitted.clear()
            admitted = demands, [_series(self._admissions, demand, label) for demand in demands]
            self._admitted[id(demands), label] = admitted
        for count in admitted[1]:
            count.value += 1

    def _count(self, counter: Counter, demands: Sequence[Demand]) -> None:
        """Count `demands`, all of one caller."""
        if not demands:
            return
        label = self._tenants.of(demands[0].tenant)
        for demand in demands:
            _series(counter, demand, label).add()


def _series(counter: Counter, demand: Demand, label: str) -> Count:
    """What `counter` counts `demand` by, of a tenant with this label."""
    return counter.of(rule_label(demand.rule, label), demand.per, "true" if demand.is_shadow else "false", label)


def _without_rule(values: tuple[str, ...]) -> tuple[str, ...]:
    """Whose rule it was, and whether it was a shadow; of these there are few, as of tenants that are told apart."""
    rule, *others = values
    return (untold(rule), *others)


def refusal(denial: Denial) -> PenstockError:
    """Return what `denial` means for the caller: whom it binds, by which rule, and when to come back."""
    demand = denial.demand
    quota = Quota(demand.subject, demand.rule)
    match demand:
        case RateDemand() if isinf(denial.retry_after):
            return too_large(
                f"the call may take {denial.asked.of_rates:.0f}, but {demand.rule} allow {demand.burst:.0f} at once"
            )
        case RateDemand() | LeaseDemand():
            message = f"{_whom(demand.subject)} is over its limit of {demand.rule}"
            return RateLimited(message, retry_after=denial.retry_after, quota=quota)
        case BudgetDemand():
            message = _shortage(demand, denial.asked.nanousd, denial.left or 0)
            return BudgetExhausted(message, retry_after=-1, metadata=_reset_time(demand), quota=quota)
        case _:
            assert_never(demand)


def _shortage(demand: BudgetDemand, asked: int, left: int) -> str:
    """Whether the budget is used up, or more nano-USD are `asked` than are `left` of it."""
    budget = f"the budget of {_whom(demand.subject)}, {demand.rule},"
    if left <= 0:
        return f"{budget} is used up"
    most, rest = _dollars(asked), _dollars(left)
    return f"this call may cost up to {most}, and {rest} of {budget} is left: {SMALLER}"


def _whom(subject: str) -> str:
    """The subject, and what it means where it ends before its name."""
    kind, tenant = kind_and_tenant(subject)
    is_nameless = kind in _NAMELESS and subject == f"{kind}:{tenant}/"
    return f"{subject} ({_NAMELESS[kind]})" if is_nameless else subject


def _dollars(nanousd: int) -> str:
    """The amount exactly, so that what does not fit never looks as if it did: `$0.10`, `$0.000123`."""
    whole, rest = divmod(nanousd, 10**9)
    cents, finer = divmod(rest, 10**7)
    return f"${whole}.{cents:02d}" + f"{finer:07d}".rstrip("0")


def _reset_time(demand: BudgetDemand) -> dict[str, str]:
    """When the budget's next period begins, as RFC 3339 writes it."""
    if demand.resets_at is None:
        return {}
    return {"reset_time": datetime.fromtimestamp(demand.resets_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
