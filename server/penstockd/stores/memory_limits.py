"""Limits and budgets where one process keeps its own."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import assert_never

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

LONGEST_HOLD = 86400.0
"""Seconds after which a hold that nobody settled is taken to have used all that it took."""
REMEMBERED = 10_000
"""Settled holds that are known by their ids, should one of them be asked for again."""


class _Hold(Struct, frozen=True, kw_only=True):
    """A hold as it was granted; `taken` is what it was debited by key, in no order that matters."""

    since: float
    demands: Sequence[Demand]
    taken: Mapping[str, Demand]
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
        denials = list(filter(None, map(self._denial, demands)))
        firm = [denial for denial in denials if not denial.demand.is_shadow]
        if firm:
            longest = max(firm, key=lambda denial: denial.retry_after)
            return Verdict(denial=longest, rates=self._rates.states(_rates(demands)))
        taken = {demand.key: demand for demand in demands}
        for denial in denials:
            if isinstance(denial.demand, RateDemand):
                taken.pop(denial.demand.key, None)
        for demand in taken.values():
            self._take(demand, hold_id)
        verdict = Verdict(shadows=tuple(denials), rates=self._rates.states(_rates(demands)))
        self._holds[hold_id] = _Hold(since=self._clock.monotonic(), demands=demands, taken=taken, verdict=verdict)
        return verdict

    async def settle(self, hold_id: str, used: Mapping[str, float]) -> Sequence[Crossing]:
        """End a hold, by what was used of what it took; return the budget fractions that this crossed."""
        return self._settle(hold_id, used)

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
            self._settle(hold_id, {key: _amount(demand) for key, demand in hold.taken.items()})

    def _denial(self, demand: Demand) -> Denial | None:
        match demand:
            case RateDemand():
                return self._rates.denial(demand)
            case LeaseDemand():
                return self._leases.denial(demand)
            case BudgetDemand():
                return self._budgets.denial(demand)
            case _:
                assert_never(demand)

    def _take(self, demand: Demand, hold_id: str) -> None:
        match demand:
            case RateDemand():
                self._rates.take(demand)
            case LeaseDemand():
                self._leases.take(demand, hold_id)
            case BudgetDemand():
                self._budgets.take(demand)
            case _:
                assert_never(demand)

    def _settle(self, hold_id: str, used: Mapping[str, float]) -> list[Crossing]:
        hold = self._holds.pop(hold_id, None)
        self._remember(hold_id)
        if hold is None:
            return []
        spent_before: dict[str, int] = {}
        for key, demand in hold.taken.items():
            match demand:
                case RateDemand():
                    self._rates.settle(demand, used.get(key, 0))
                case LeaseDemand():
                    self._leases.settle(demand, hold_id)
                case BudgetDemand():
                    spent_before[key] = self._budgets.settle(demand, round(used.get(key, 0)))
                case _:
                    assert_never(demand)
        if not spent_before:
            return []
        budgets = [demand for demand in hold.demands if isinstance(demand, BudgetDemand)]
        return [
            crossing for demand in budgets for crossing in self._budgets.crossings(demand, spent_before[demand.key])
        ]

    def _remember(self, hold_id: str) -> None:
        self._settled[hold_id] = None
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)


def _rates(demands: Sequence[Demand]) -> Iterator[RateDemand]:
    return (demand for demand in demands if isinstance(demand, RateDemand))


def _amount(demand: Demand) -> float:
    """What a demand takes; a lease takes no amount."""
    return 0 if isinstance(demand, LeaseDemand) else demand.amount
