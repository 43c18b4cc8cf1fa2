"""Shows how far the tenants' budgets are used up."""

from collections.abc import Callable, Sequence
from heapq import nlargest
from itertools import islice

from penstockd import conventions as names
from penstockd.budgets import Standing, budget_states
from penstockd.clock import Clock
from penstockd.gauges.gauges import Gauges, Readings
from penstockd.limits import LimitStore, StoreUnavailable
from penstockd.principal import Principal
from penstockd.rules import Caller, Rulebook, kind_and_tenant

SHOWN = 50
"""Budgets that are shown: those that are used up furthest."""
AT_ONCE = 200
"""Tenants that one refresh looks at: with more of them it takes several until all are seen, and none takes long."""


class BudgetGauge:
    """The spent and held part of the budgets of whole tenants; users, agents and keys would be too many."""

    def __init__(self, store: LimitStore, *, held: Callable[[], int], clock: Clock, gauges: Gauges) -> None:
        """Show nothing yet; `held` is what all budgets of the store hold together, in nano-USD."""
        self._store = store
        self._clock = clock
        self._seen: dict[str, Sequence[Standing]] = {}
        self._next = 0
        gauges.numbers(
            names.PENSTOCK_BUDGET_FRACTION,
            self._fractions,
            description="Part of a tenant's budget that is spent or held in its running period.",
        )
        gauges.number(
            names.PENSTOCK_BUDGET_HELD,
            lambda: held() / 1e9,
            unit="usd",
            description="What all budgets hold for attempts under way, each for itself.",
        )

    @property
    def fullest(self) -> list[Standing]:
        """The budgets that are used up furthest."""
        standings = [standing for standings in list(self._seen.values()) for standing in standings]
        return nlargest(SHOWN, standings, key=lambda standing: standing.fraction)

    async def refresh(self, rulebook: Rulebook) -> None:
        """Look at the next budgets again; while the store is out of reach, show what was seen last."""
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

    def _fractions(self) -> Readings:
        for standing in self.fullest:
            per, tenant = kind_and_tenant(standing.subject)
            yield (
                standing.fraction,
                {
                    names.PENSTOCK_TENANT: tenant,
                    names.PENSTOCK_RULE: standing.rule,
                    names.PENSTOCK_RULE_PER: per,
                    names.PENSTOCK_RULE_SHADOW: "true" if standing.is_shadow else "false",
                },
            )
