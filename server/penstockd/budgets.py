"""Budgets between their rules, their store and the ledger."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from penstockd.ledger import Spending
from penstockd.limits import BudgetDemand, LimitStore
from penstockd.principal import Principal
from penstockd.rules import BudgetRule, Caller, Per, Rulebook, budget_demand


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


async def rebuild(
    rulebook: Rulebook, store: LimitStore, spent: Callable[[float], Awaitable[Sequence[Spending]]], now: float
) -> None:
    """Start every budget of the running periods at what the ledger says; `spent` is Ledger.spent, `now` unix seconds.

    For before the first call: what is spent meanwhile would be lost. Raises LedgerUnavailable and StoreUnavailable.
    """
    periods = {rule.period for rules in rulebook.tenants.values() for rule in rules.budgets}
    for period in periods:
        spendings = await spent(period.start(now))
        accounts: defaultdict[tuple[str, float | None], int] = defaultdict(int)
        for spending in spendings:
            rules = [rule for rule in rulebook.of(spending.tenant).budgets if rule.period is period]
            for account in {_account(rule, spending, now) for rule in rules}:
                accounts[account] += spending.cost_nanousd
        for (key, resets_at), amount in accounts.items():
            await store.set_spent(key, amount, resets_at)


def _account(rule: BudgetRule, spending: Spending, now: float) -> tuple[str, float | None]:
    """Where `spending` counts by `rule`: the key and when its period ends."""
    principal = Principal(tenant=spending.tenant, key=spending.key)
    caller = Caller(principal=principal, user_id=spending.user_id, agent=spending.agent)
    demand = budget_demand(rule, caller.subject(rule.per), 0, now)
    return demand.key, demand.resets_at


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
