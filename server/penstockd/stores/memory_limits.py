"""Limits and budgets where one process keeps its own."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from penstockd.clock import Clock
from penstockd.limits import (
    Amounts,
    BudgetDemand,
    BudgetState,
    Crossing,
    Demand,
    Denial,
    LeaseDemand,
    RateDemand,
    Verdict,
)
from penstockd.stores.idle_table import IdleTable
from penstockd.stores.memory_budgets import BudgetAccount, Total
from penstockd.stores.memory_hold import Hold
from penstockd.stores.memory_leases import LeaseAccount
from penstockd.stores.memory_rates import RateAccount, tightest

D_contra = TypeVar("D_contra", contravariant=True)

LONGEST_HOLD = 86400.0
"""Seconds after which a hold that nobody settled is taken to have used all that it took."""

REMEMBERED = 5_000
"""Settled holds at least that are known by their ids, should one of them be asked for again; twice as many at most."""


class _Account(Protocol[D_contra]):
    """The state of one key, whose demands are all of one kind; `now` is in monotonic seconds."""

    def denial(self, demand: D_contra, hold: Hold) -> Denial | None:
        """Why what `hold` asks of `demand` cannot be had now, if it cannot."""

    def take(self, demand: D_contra, hold: Hold) -> float | None:
        """Debit what `hold` asks if it fits; return what is remembered of that, else None."""

    def undo(self, demand: D_contra, hold: Hold) -> None:
        """Be as before the latest `take`."""

    def force(self, demand: D_contra, hold: Hold) -> float:
        """Debit what `hold` asks, whether it fits or not; return what `take` would."""

    def settle(self, demand: D_contra, hold: Hold, used: Amounts, now: float) -> int | None:
        """Replace what `hold` took by what was used; return what was spent before, if that may alarm somebody."""

    def is_idle(self, clock: Clock) -> bool:
        """Whether it is as good as a new one."""


class MemoryLimits:
    """A LimitStore in this process's memory: no step of it awaits anything, so each is atomic.

    Accounts that are as good as new are forgotten, two for each new one and more at every `sweep`.
    """

    is_local = True

    def __init__(self, clock: Clock, *, random: Callable[[], float]) -> None:
        """Start with nothing taken; `random` draws from [0, 1)."""
        self._clock = clock
        self._random = random
        self._total = Total()
        self._accounts: IdleTable[Any] = IdleTable(lambda account: account.is_idle(clock))
        self._holds: OrderedDict[str, Hold] = OrderedDict()
        self._settled: set[str] = set()
        self._settled_before: set[str] = set()

    def __repr__(self) -> str:
        accounts = self._accounts.values()
        rates, budgets = (sum(isinstance(each, kind) for each in accounts) for kind in (RateAccount, BudgetAccount))
        places = sum(len(each.places) for each in accounts if isinstance(each, LeaseAccount))
        return f"<MemoryLimits {rates} rates, {places} leases, {budgets} budgets, {len(self._holds)} holds>"

    @property
    def held_nanousd(self) -> int:
        """What all budgets hold, in nano-USD."""
        return self._total.held

    async def hold(self, hold_id: str, demands: Sequence[Demand], asked: Amounts) -> Verdict:
        """Check every demand for what is `asked`, then debit all of them; what is denied debits nothing."""
        if hold_id in self._settled or hold_id in self._settled_before:
            return Verdict()
        if (earlier := self._holds.get(hold_id)) is not None:
            return earlier.verdict
        # Before they are looked up: an idle one among them must not be swept away for a new one. It may put another
        # table in the place of the old one.
        self._accounts.pay()
        get = self._accounts.get
        hold = Hold(hold_id, self._clock.monotonic(), asked, demands, debited=demands)
        took = hold.took
        told: list[tuple[RateAccount, Any]] = []
        for demand in demands:
            key = demand.key
            account: Any = get(key) or self._open(demand)
            if key in took or (taken := account.take(demand, hold)) is None:
                break
            took[key] = taken
            if demand.is_told:
                told.append((account, demand))
        else:
            if told:
                hold.verdict = Verdict(tightest=tightest(told, hold.since))
            self._holds[hold_id] = hold
            return hold.verdict
        for key, demand in zip(took, demands, strict=False):
            account = get(key)
            account.undo(demand, hold)
        return self._weigh(hold)

    async def settle(self, hold_id: str, used: Amounts | None) -> Sequence[Crossing]:
        """End a hold, by what was used of what it took; return the budget fractions that this crossed."""
        return self._settle(hold_id, used)

    async def spend(self, demands: Sequence[BudgetDemand], nanousd: int) -> Sequence[Crossing]:
        """Count as spent what nobody held of `demands`; return the budget fractions that this crossed."""
        crossings: list[Crossing] = []
        for demand in {demand.key: demand for demand in demands}.values():
            account = self._budget(demand.key, demand.resets_at)
            before = account.spent
            account.spent += nanousd
            crossings += _crossings(demands, demand.key, before, account.spent)
        return crossings

    async def budget(self, key: str) -> BudgetState:
        """Return a budget as it stands."""
        account = self._accounts.get(key)
        return account.state if isinstance(account, BudgetAccount) else BudgetState(spent=0, held=0)

    async def set_spent(self, key: str, spent: int, resets_at: float | None) -> None:
        """Start a budget at what the ledger says was spent in its period."""
        self._budget(key, resets_at).spent = spent

    def sweep(self, count: int = 10_000) -> None:
        """Forget what is as good as new among the next `count` accounts, and end what nobody ever settled."""
        self._accounts.sweep(count)
        forgotten_since = self._clock.monotonic() - LONGEST_HOLD
        while self._holds and next(iter(self._holds.values())).since <= forgotten_since:
            self._settle(next(iter(self._holds)), None)

    def _weigh(self, hold: Hold) -> Verdict:
        """Decide on demands that do not simply fit: one of them is denied, or two are of one key."""
        get = self._accounts.get
        pairs: list[tuple[Any, Demand]] = [(get(demand.key) or self._open(demand), demand) for demand in hold.demands]
        told: list[tuple[RateAccount, Any]] = [(account, demand) for account, demand in pairs if demand.is_told]
        denials = [denial for account, demand in pairs if (denial := account.denial(demand, hold)) is not None]
        firm = [denial for denial in denials if not denial.demand.is_shadow]
        if firm:
            longest = max(firm, key=lambda denial: denial.retry_after)
            return Verdict(denial=longest, tightest=tightest(told, hold.since))
        # A place or money is taken under a shadow as well, over the limit or not.
        untaken = [denial.demand.key for denial in denials if type(denial.demand) is RateDemand]
        debited: dict[str, Demand] = {}
        for account, demand in pairs:
            key = demand.key
            if key in debited:
                debited[key] = _alarming(debited[key])
            elif key not in untaken:
                hold.took[key] = account.force(demand, hold)
                debited[key] = demand
        hold.debited = list(debited.values())
        hold.verdict = Verdict(shadows=tuple(denials), tightest=tightest(told, hold.since))
        self._holds[hold.id] = hold
        return hold.verdict

    def _settle(self, hold_id: str, used: Amounts | None) -> list[Crossing]:
        hold = self._holds.pop(hold_id, None)
        self._settled.add(hold_id)
        if len(self._settled) > REMEMBERED:
            self._settled_before, self._settled = self._settled, set()
        if hold is None:
            return []
        get, now, is_all = self._accounts.get, self._clock.monotonic(), used is None
        if used is None:
            used = hold.asked
        crossings: list[Crossing] = []
        for demand in hold.debited:
            if is_all and type(demand) is RateDemand:
                continue
            account: Any = get(demand.key) or self._open(demand)
            before = account.settle(demand, hold, used, now)
            if before is not None:
                crossings += _crossings(hold.demands, demand.key, before, account.spent)
        return crossings

    def _open(self, demand: Demand) -> _Account[Any]:
        account: _Account[Any]
        match demand:
            case RateDemand():
                account = RateAccount()
            case LeaseDemand():
                account = LeaseAccount(self._random)
            case BudgetDemand():
                account = BudgetAccount(demand.resets_at, total=self._total, clock=self._clock)
        self._accounts.put(demand.key, account)
        return account

    def _budget(self, key: str, resets_at: float | None) -> BudgetAccount:
        self._accounts.pay()
        account = self._accounts.get(key)
        if not isinstance(account, BudgetAccount):
            account = BudgetAccount(resets_at, total=self._total, clock=self._clock)
            self._accounts.put(key, account)
        return account


def _alarming(demand: Demand) -> Demand:
    """One for several budgets that count the same money: each has alarms of its own."""
    return replace(demand, first_alert=0.0) if type(demand) is BudgetDemand else demand


def _crossings(demands: Sequence[Demand], key: str, before: int, spent: int) -> list[Crossing]:
    """What spending from one budget has crossed, of all that look at it."""
    crossings: list[Crossing] = []
    for demand in demands:
        if type(demand) is BudgetDemand and demand.key == key:
            crossings += demand.crossings(before, spent)
    return crossings
