"""Reconciles the budgets with the ledger: after a start, a reload, a loss, or a clock that was put back."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from penstockd.clock import Clock
from penstockd.ledger import CannotOpenLedger, Ledger, LedgerUnavailable, Loss, Spending
from penstockd.limits import BudgetDemand, Crossing, LimitStore
from penstockd.logs.log import Log
from penstockd.principal import Principal
from penstockd.rules import Caller, Rulebook, TenantRules, budget_demand

LOOK_EVERY = 1.0
"""Seconds between two looks at the rules in use and at the clock."""
AT_ONCE = 1_000
"""Spendings that are added up before whoever else is ready has a turn."""


class Reconciliation:
    """Keeps the budgets of the rules in use at what the ledger says was spent."""

    def __init__(
        self,
        store: LimitStore,
        ledger: Ledger,
        *,
        crossed: Callable[[Sequence[Crossing]], None],
        clock: Clock,
        log: Log,
    ) -> None:
        """Have no budgets yet; `crossed` is told what fractions of them a reload or a loss has crossed."""
        self.rulebook = self._counted = Rulebook({})
        self._store = store
        self._ledger = ledger
        self._crossed = crossed
        self._clock = clock
        self._log = log
        self._latest = clock.wall()
        self._is_behind = False

    def use(self, rulebook: Rulebook) -> None:
        """Keep the budgets of `rulebook`; what was spent of those that it adds is counted at the next look."""
        if self.rulebook is not self._counted:
            # It goes before it was looked at; while it was in use, nothing was counted in the budgets that it lacked.
            self._counted = _in_both(self._counted, self.rulebook)
        self.rulebook = rulebook

    async def start(self) -> None:
        """Start every budget of the running periods at what the ledger says. Raises CannotOpenLedger.

        For before the first call: what is spent meanwhile would be lost.
        """
        self._counted = self.rulebook
        self._latest = self._clock.wall()
        try:
            sums = await self._sums(self.rulebook, self._latest)
        except LedgerUnavailable as error:
            raise CannotOpenLedger(f"cannot read from the ledger what was spent: {error}") from error
        for demand, amount in sums.items():
            await self._store.set_spent(demand.key, amount, demand.resets_at)

    async def count_losses(self, losses: Sequence[Loss]) -> None:
        """Count what attempts of a dead daemon were charged, in the budgets whose periods still run."""
        now = self._clock.wall()
        crossings: list[Crossing] = []
        for loss in losses:
            caller = _caller(loss)
            demands = [budget_demand(rule, caller, loss.at) for rule in self.rulebook.of(loss.tenant).budgets]
            running = [demand for demand in demands if demand.resets_at is None or demand.resets_at > now]
            crossings += await self._store.spend(running, loss.cost_nanousd)
        self._crossed(crossings)

    async def keep_up(self) -> None:
        """For ever, now and then, count what was spent before; that it cannot be read is said once, and tried again."""
        while True:
            try:
                await self._return_to_earlier_periods()  # first, as it also remembers what the clock says
                await self._count_added_budgets()
            except LedgerUnavailable as fault:
                if not self._is_behind:
                    self._log.warning("some budgets do not count what was spent before", reason=str(fault))
                self._is_behind = True
            else:
                if self._is_behind:
                    self._log.info("all budgets count what was spent before")
                self._is_behind = False
            await self._clock.sleep(LOOK_EVERY)

    async def _count_added_budgets(self) -> None:
        """Count what was spent before a reload added a budget, and tell what a reload crosses."""
        rulebook = self.rulebook
        if rulebook is self._counted:
            return
        crossings = await self._take_over(self._counted, rulebook, self._clock.wall())
        if rulebook is self.rulebook:  # else the next look has to do with what came meanwhile
            self._counted = rulebook
            self._crossed(crossings)

    async def _return_to_earlier_periods(self) -> None:
        """Where the wall clock was put back over the start of a period, count what was spent in the one before.

        It may be forgotten by now, or older than this daemon. What it crosses was told when it was spent.
        """
        now = self._clock.wall()
        self._latest = max(self._latest, now)
        if now == self._latest:
            return
        again = _entered_again(self.rulebook, self._latest, now)
        if again.tenants:
            await self._take_over(Rulebook({}), again, now)
            self._latest = now

    async def _take_over(self, before: Rulebook, rulebook: Rulebook, now: float) -> list[Crossing]:
        """Let the budgets of `rulebook` that `before` had not count what was spent in their period.

        Returns the fractions that `rulebook` finds crossed, and `before` did not: a limit was lowered, say. Whose
        budgets there are is looked up in the ledger. Raises LedgerUnavailable and StoreUnavailable.
        """
        store = self._store
        changed = [name for name, rules in rulebook.tenants.items() if rules.budgets != before.of(name).budgets]
        old, new = (Rulebook({name: book.of(name) for name in changed}) for book in (before, rulebook))
        earlier = await self._sums(old, now)
        known = {demand.key for demand in earlier}
        # What is spent while the ledger is read may be in there or not: it is counted, rather twice than never.
        added = [demand for demand in await self._sums(new, now) if demand.key not in known]
        seen = {demand.key: (await store.budget(demand.key)).spent for demand in added}
        demands = await self._sums(new, now)
        for demand, amount in demands.items():
            before_reading = seen.pop(demand.key, None)  # once, though several budgets may count the same money
            if before_reading is not None:
                # What the store has counted and the ledger has yet to write is kept.
                meanwhile = (await store.budget(demand.key)).spent - before_reading
                await store.set_spent(demand.key, max(amount, before_reading) + meanwhile, demand.resets_at)
        standing = {demand.key: (await store.budget(demand.key)).spent for demand in demands}
        told = Counter(
            (demand.key, demand.is_shadow, crossing.fraction)
            for demand in earlier
            for crossing in demand.crossings(0, standing.get(demand.key, 0))
        )
        crossings: list[Crossing] = []
        for demand in sorted(demands, key=lambda demand: demand not in earlier):
            for crossing in demand.crossings(0, standing[demand.key]):
                which = (demand.key, demand.is_shadow, crossing.fraction)
                if told[which] > 0:
                    told[which] -= 1  # of this budget, or of the one that it has come instead of
                else:
                    crossings.append(crossing)
        return crossings

    async def _sums(self, rulebook: Rulebook, now: float) -> Mapping[BudgetDemand, int]:
        """What was spent of each budget in the period that holds `now`."""
        sums: defaultdict[BudgetDemand, int] = defaultdict(int)
        for period in {rule.period for rules in rulebook.tenants.values() for rule in rules.budgets}:
            span = period.span(now)
            for number, spending in enumerate(await self._ledger.spent(span.start, span.end), 1):
                caller = _caller(spending)
                rules = [rule for rule in rulebook.of(spending.tenant).budgets if rule.period is period]
                for demand in {budget_demand(rule, caller, now) for rule in rules}:
                    sums[demand] += spending.cost_nanousd
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
        return sums


def _caller(spending: Spending) -> Caller:
    principal = Principal(tenant=spending.tenant, key=spending.key)
    return Caller(principal=principal, user_id=spending.user_id, agent=spending.agent)


def _in_both(one: Rulebook, other: Rulebook) -> Rulebook:
    """The budgets of `one` that `other` has too; a changed limit makes no other budget."""
    tenants = {}
    for name, rules in one.tenants.items():
        kept = {(rule.per, rule.period) for rule in other.of(name).budgets}
        tenants[name] = TenantRules(budgets=[rule for rule in rules.budgets if (rule.per, rule.period) in kept])
    return Rulebook(tenants)


def _entered_again(rulebook: Rulebook, latest: float, now: float) -> Rulebook:
    """The budgets of `rulebook` whose period at `now` was over at `latest`, both in unix seconds."""
    tenants = {}
    for name, rules in rulebook.tenants.items():
        again = [rule for rule in rules.budgets if rule.period.start(latest) > now]
        if again:
            tenants[name] = TenantRules(budgets=again)
    return Rulebook(tenants)
