"""How budgets stand, for whoever looks."""

from collections.abc import Sequence
from heapq import nlargest
from itertools import islice

from msgspec import Struct

from penstockd.clock import Clock
from penstockd.limits import BudgetDemand, BudgetState, LimitStore, StoreUnavailable
from penstockd.principal import Principal
from penstockd.rules import Caller, Rulebook, budget_demand

SHOWN = 50
"""Budgets that are shown: those that are used up furthest."""
AT_ONCE = 200
"""Tenants that one refresh looks at: with more of them it takes several until all are seen, and none takes long."""


class Standing(Struct, frozen=True, kw_only=True):
    """One subject's budget as it stands: which it is, as an attempt is asked for it, and its state."""

    demand: BudgetDemand
    state: BudgetState

    @property
    def fraction(self) -> float:
        """What is spent and held of the limit."""
        return (self.state.spent + self.state.held) / self.demand.limit


async def budget_states(rulebook: Rulebook, store: LimitStore, caller: Caller, now: float) -> list[Standing]:
    """How each budget stands that binds `caller`, in the order of the configuration; `now` in unix seconds.

    Without a key, user or agent in `caller`, budgets of that kind are left out. Raises StoreUnavailable.
    """
    demands = [
        budget_demand(rule, caller, now)
        for rule in rulebook.of(caller.principal.tenant).budgets
        if caller.name(rule.per)
    ]
    return [Standing(demand=demand, state=await store.budget(demand.key)) for demand in demands]


class FullestBudgets:
    """Finds the budgets of whole tenants that are used up furthest; users, agents and keys would be too many."""

    def __init__(self, store: LimitStore, clock: Clock) -> None:
        """Have seen none yet."""
        self._store = store
        self._clock = clock
        self._seen: dict[str, Sequence[Standing]] = {}
        self._next = 0

    @property
    def fullest(self) -> list[Standing]:
        """They, as they were last seen; may be read from another thread."""
        standings = [standing for standings in list(self._seen.values()) for standing in standings]
        return nlargest(SHOWN, standings, key=lambda standing: standing.fraction)

    async def refresh(self, rulebook: Rulebook) -> None:
        """Look at the next budgets again; while the store is out of reach, they stay as they were."""
        tenants = rulebook.tenants
        if self._next >= len(tenants):
            self._next = 0
            self._seen = {tenant: seen for tenant, seen in self._seen.items() if tenant in tenants}
        try:
            for tenant in islice(tenants, self._next, self._next + AT_ONCE):
                self._seen[tenant] = await self._look(rulebook, tenant)
                self._next += 1
        except StoreUnavailable:
            return

    async def _look(self, rulebook: Rulebook, tenant: str) -> Sequence[Standing]:
        caller = Caller(principal=Principal(tenant=tenant), user_id="", agent="")
        return await budget_states(rulebook, self._store, caller, self._clock.wall())
