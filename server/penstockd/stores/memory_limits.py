"""Limits and budgets where one process keeps its own."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from penstockd.clock import Clock
from penstockd.limits import (
    BudgetDemand,
    BudgetState,
    Crossing,
    Demand,
    Denial,
    LeaseDemand,
    RateDemand,
    Verdict,
)
from penstockd.stores.memory_budgets import MemoryBudgets
from penstockd.stores.memory_leases import MemoryLeases
from penstockd.stores.memory_rates import MemoryRates

D_contra = TypeVar("D_contra", contravariant=True)

LONGEST_HOLD = 86400.0
"""Seconds after which a hold that nobody settled is taken to have used all that it took."""
REMEMBERED = 10_000
"""Settled holds that are known by their ids, should one of them be asked for again."""


class _Book(Protocol[D_contra]):
    """Keeps the state of one kind of demand."""

    def denial(self, demand: D_contra) -> Denial | None:
        """Why `demand` cannot be met now, if it cannot."""

    def take(self, demand: D_contra, hold_id: str) -> Any:  # noqa: ANN401 - each book's own
        """Debit what `demand` asks; return what the book has to know of it when it is settled."""

    def settle(self, demand: D_contra, hold_id: str, used: float, took: Any) -> None:  # noqa: ANN401 - as above
        """Replace what `demand` took by what was used of it."""


class _Hold(Struct, frozen=True, kw_only=True):
    """A hold as it was granted; `taken` is what it was debited, and what its book has to know of it."""

    since: float
    demands: Sequence[Demand]
    taken: Sequence[tuple[Demand, object]]
    verdict: Verdict


class MemoryLimits:
    """A LimitStore in this process's memory: no step of it awaits anything, so each is atomic.

    Rates, leases and budgets that are as good as new are forgotten, two for each new one and more at every `sweep`.
    """

    is_local = True

    def __init__(self, clock: Clock, *, random: Callable[[], float]) -> None:
        """Start with nothing taken; `random` draws from [0, 1)."""
        self._clock = clock
        self._rates = MemoryRates(clock)
        self._leases = MemoryLeases(clock, random=random)
        self._budgets = MemoryBudgets(clock)
        self._books: Mapping[type, _Book[Any]] = {
            RateDemand: self._rates,
            LeaseDemand: self._leases,
            BudgetDemand: self._budgets,
        }
        self._holds: OrderedDict[str, _Hold] = OrderedDict()
        self._settled: OrderedDict[str, None] = OrderedDict()

    def __repr__(self) -> str:
        kept = f"{len(self._rates)} rates, {len(self._leases)} leases, {len(self._budgets)} budgets"
        return f"<MemoryLimits {kept}, {len(self._holds)} holds>"

    @property
    def held_nanousd(self) -> int:
        """What all budgets hold, in nano-USD."""
        return self._budgets.held

    async def hold(self, hold_id: str, demands: Sequence[Demand]) -> Verdict:
        """Check every demand, then debit all of them; what is denied debits nothing."""
        if hold_id in self._settled:
            return Verdict()
        if hold_id in self._holds:
            return self._holds[hold_id].verdict
        books = self._books
        denials = [denial for demand in demands if (denial := books[type(demand)].denial(demand))]
        firm = [denial for denial in denials if not denial.demand.is_shadow]
        if firm:
            longest = max(firm, key=lambda denial: denial.retry_after)
            return Verdict(denial=longest, rates=self._rates.states(_rates(demands)))
        taken = {demand.key: demand for demand in demands}
        for denial in denials:
            if isinstance(denial.demand, RateDemand):
                taken.pop(denial.demand.key, None)
        took = [(demand, books[type(demand)].take(demand, hold_id)) for demand in taken.values()]
        verdict = Verdict(shadows=tuple(denials), rates=self._rates.states(_rates(demands)))
        self._holds[hold_id] = _Hold(since=self._clock.monotonic(), demands=demands, taken=took, verdict=verdict)
        return verdict

    async def settle(self, hold_id: str, used: Mapping[str, float]) -> Sequence[Crossing]:
        """End a hold, by what was used of what it took; return the budget fractions that this crossed."""
        return self._settle(hold_id, used)

    async def spend(self, demands: Sequence[BudgetDemand]) -> Sequence[Crossing]:
        """Count as spent what `demands` ask and nobody held; return the budget fractions that this crossed."""
        before = self._spent(demands)
        for demand in {demand.key: demand for demand in demands}.values():
            self._budgets.spend(demand)
        return self._crossings(demands, before)

    async def budget(self, key: str) -> BudgetState:
        """Return a budget as it stands."""
        return self._budgets.state(key)

    async def set_spent(self, key: str, spent: int, resets_at: float | None) -> None:
        """Start a budget at what the ledger says was spent in its period."""
        self._budgets.set_spent(key, spent, resets_at)

    def sweep(self, count: int = 5_000) -> None:
        """Forget what is as good as new among the next `count` of each kind, and end what nobody ever settled."""
        self._rates.sweep(count)
        self._budgets.sweep(count)
        forgotten_since = self._clock.monotonic() - LONGEST_HOLD
        while self._holds and next(iter(self._holds.values())).since <= forgotten_since:
            hold_id, hold = next(iter(self._holds.items()))
            self._settle(hold_id, {demand.key: _amount(demand) for demand, _ in hold.taken})

    def _settle(self, hold_id: str, used: Mapping[str, float]) -> list[Crossing]:
        hold = self._holds.pop(hold_id, None)
        self._remember(hold_id)
        if hold is None:
            return []
        watched = [demand for demand in hold.demands if type(demand) is BudgetDemand and demand.alert_at]
        before = self._spent(watched)
        for demand, took in hold.taken:
            self._books[type(demand)].settle(demand, hold_id, used.get(demand.key, 0), took)
        return self._crossings(watched, before) if watched else []

    def _spent(self, demands: Sequence[BudgetDemand]) -> Mapping[str, int]:
        spent = self._budgets.spent
        return {demand.key: spent(demand.key) for demand in demands}

    def _crossings(self, demands: Sequence[BudgetDemand], before: Mapping[str, int]) -> list[Crossing]:
        spent = self._spent(demands)
        return [crossing for demand in demands for crossing in demand.crossings(before[demand.key], spent[demand.key])]

    def _remember(self, hold_id: str) -> None:
        self._settled[hold_id] = None
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)


def _rates(demands: Sequence[Demand]) -> list[RateDemand]:
    return [demand for demand in demands if type(demand) is RateDemand]


def _amount(demand: Demand) -> float:
    """What a demand takes; a lease takes no amount."""
    return 0 if isinstance(demand, LeaseDemand) else demand.amount
