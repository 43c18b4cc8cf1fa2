"""Budgets between their rules, their store and the ledger."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from penstockd.ledger import Loss, Spending
from penstockd.limits import BudgetDemand, Crossing, LimitStore
from penstockd.principal import Principal
from penstockd.rules import Caller, Per, Rulebook, TenantRules, budget_demand

AT_ONCE = 1_000
"""Spendings that are added up before whoever else is ready has a turn."""

Spent: TypeAlias = Callable[[float], Awaitable[Sequence[Spending]]]
"""What tells the spendings since a moment in unix seconds: Ledger.spent."""


class Standing(Struct, frozen=True, kw_only=True):
    """One subject's budget as it stands; money in nano-USD, `resets_at` in unix seconds, None = never.

    A shadow refuses nothing.
    """

    subject: str
    rule: str
    limit: int
    spent: int
    held: int
    resets_at: float | None
    is_shadow: bool = False

    @property
    def fraction(self) -> float:
        """What is spent and held of the limit."""
        return (self.spent + self.held) / self.limit


async def budget_states(rulebook: Rulebook, store: LimitStore, caller: Caller, now: float) -> list[Standing]:
    """How each budget stands that binds `caller`, in the order of the configuration; `now` in unix seconds.

    Without a key, user or agent in `caller`, budgets of that kind are left out. Raises StoreUnavailable.
    """
    demands = [
        budget_demand(rule, caller.subject(rule.per), 0, now)
        for rule in rulebook.of(caller.principal.tenant).budgets
        if _names(caller, rule.per)
    ]
    return [await _standing(store, demand) for demand in demands]


async def rebuild(rulebook: Rulebook, store: LimitStore, spent: Spent, now: float) -> None:
    """Start every budget of the running periods at what the ledger says; `now` in unix seconds.

    For before the first call: what is spent meanwhile would be lost. Raises LedgerUnavailable and StoreUnavailable.
    """
    for demand, amount in (await _sums(rulebook, spent, now)).items():
        await store.set_spent(demand.key, amount, demand.resets_at)


async def count_losses(rulebook: Rulebook, store: LimitStore, losses: Sequence[Loss], now: float) -> list[Crossing]:
    """Count what `losses` were charged in the budgets whose periods run at `now`, unix seconds.

    Returns the fractions that this crossed. Raises StoreUnavailable.
    """
    crossings: list[Crossing] = []
    for loss in losses:
        caller = _caller(loss)
        demands = [
            budget_demand(rule, caller.subject(rule.per), loss.cost_nanousd, loss.at)
            for rule in rulebook.of(loss.tenant).budgets
        ]
        running = [demand for demand in demands if demand.resets_at is None or demand.resets_at > now]
        crossings += await store.spend(running)
    return crossings


async def take_over(
    before: Rulebook, rulebook: Rulebook, store: LimitStore, spent: Spent, now: float
) -> list[Crossing]:
    """Let the budgets of `rulebook` that `before` had not count what was spent in their period.

    Returns the fractions that `rulebook` finds crossed, and `before` did not: a limit was lowered, say. Whose budgets
    there are is looked up in the ledger. Raises LedgerUnavailable and StoreUnavailable.
    """
    changed = [name for name, rules in rulebook.tenants.items() if rules.budgets != before.of(name).budgets]
    old, new = (Rulebook({name: book.of(name) for name in changed}) for book in (before, rulebook))
    earlier = await _sums(old, spent, now)
    known = {demand.key for demand in earlier}
    # What is spent while the ledger is read may be in there or not: it is counted, rather twice than never.
    added = [demand for demand in await _sums(new, spent, now) if demand.key not in known]
    seen = {demand.key: (await store.budget(demand.key)).spent for demand in added}
    demands = await _sums(new, spent, now)
    for demand, amount in demands.items():
        if demand.key in seen:
            # Nor is what is counted already taken back, which may have yet to be written.
            meanwhile = (await store.budget(demand.key)).spent - seen[demand.key]
            await store.set_spent(demand.key, max(amount, seen[demand.key]) + meanwhile, demand.resets_at)
    standing = {demand.key: (await store.budget(demand.key)).spent for demand in demands}
    told = {
        (demand.key, demand.is_shadow, crossing.fraction)
        for demand in earlier
        for crossing in demand.crossings(0, standing.get(demand.key, 0))
    }
    return [
        crossing
        for demand in demands
        for crossing in demand.crossings(0, standing[demand.key])
        if (demand.key, demand.is_shadow, crossing.fraction) not in told
    ]


def in_both(one: Rulebook, other: Rulebook) -> Rulebook:
    """The budgets of `one` that `other` has too; a changed limit makes no other budget."""
    tenants = {}
    for name, rules in one.tenants.items():
        kept = {(rule.per, rule.period) for rule in other.of(name).budgets}
        tenants[name] = TenantRules(budgets=[rule for rule in rules.budgets if (rule.per, rule.period) in kept])
    return Rulebook(tenants)


def entered_again(rulebook: Rulebook, latest: float, now: float) -> Rulebook:
    """The budgets of `rulebook` whose period at `now` was over at `latest`, both in unix seconds."""
    tenants = {}
    for name, rules in rulebook.tenants.items():
        again = [rule for rule in rules.budgets if rule.period.start(latest) > now]
        if again:
            tenants[name] = TenantRules(budgets=again)
    return Rulebook(tenants)


async def _sums(rulebook: Rulebook, spent: Spent, now: float) -> Mapping[BudgetDemand, int]:
    """What was spent of each budget in the period that holds `now`; the keys are demands for 0."""
    sums: defaultdict[BudgetDemand, int] = defaultdict(int)
    for period in {rule.period for rules in rulebook.tenants.values() for rule in rules.budgets}:
        for number, spending in enumerate(await spent(period.start(now)), 1):
            caller = _caller(spending)
            rules = [rule for rule in rulebook.of(spending.tenant).budgets if rule.period is period]
            for demand in {budget_demand(rule, caller.subject(rule.per), 0, now) for rule in rules}:
                sums[demand] += spending.cost_nanousd
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
    return sums


def _caller(spending: Spending) -> Caller:
    principal = Principal(tenant=spending.tenant, key=spending.key)
    return Caller(principal=principal, user_id=spending.user_id, agent=spending.agent)


def _names(caller: Caller, per: Per) -> bool:
    match per:
        case Per.TENANT:
            return True
        case Per.USER:
            return bool(caller.user_id)
        case Per.AGENT:
            return bool(caller.agent)
        case Per.KEY:
            return bool(caller.principal.key)


async def _standing(store: LimitStore, demand: BudgetDemand) -> Standing:
    state = await store.budget(demand.key)
    return Standing(
        subject=demand.subject,
        rule=demand.rule,
        limit=demand.limit,
        spent=state.spent,
        held=state.held,
        resets_at=demand.resets_at,
        is_shadow=demand.is_shadow,
    )
