"""Limits and budgets where one process keeps its own."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from penstockd.clock import Clock
from penstockd.limits import (
    BudgetDemand,
    BudgetState,
    Crossing,
    Demand,
    Denial,
    LeaseDemand,
    RateDemand,
    Used,
    Verdict,
)
from penstockd.stores.idle_table import IdleTable
from penstockd.stores.memory_budgets import BudgetAccount, Total
from penstockd.stores.memory_leases import LeaseAccount
from penstockd.stores.memory_rates import RateAccount, tightest

D_contra = TypeVar("D_contra", contravariant=True)

LONGEST_HOLD = 86400.0
"""Seconds after which a hold that nobody settled is taken to have used all that it took."""
_NOTHING = Verdict()

REMEMBERED = 5_000
"""Settled holds at least that are known by their ids, should one of them be asked for again; twice as many at most."""


class _Account(Protocol[D_contra]):
    """The state of one key, whose demands are all of one kind; `now` is in monotonic seconds."""

    def denial(self, demand: D_contra, now: float) -> Denial | None:
        """Why `demand` cannot be met now, if it cannot."""

    def take(self, demand: D_contra, hold_id: str, now: float) -> Any:  # noqa: ANN401 - each kind's own
        """Debit what `demand` asks if it fits; return what the account has to know of it at the end, else None."""

    def undo(self, demand: D_contra, hold_id: str) -> None:
        """Be as before the latest `take`."""

    def force(self, demand: D_contra, hold_id: str, now: float) -> Any:  # noqa: ANN401
        """Debit what `demand` asks, whether it fits or not; return what `take` would."""

    def settle(self, demand: D_contra, hold_id: str, used: Used | None, now: float, took: Any) -> int | None:  # noqa: ANN401
        """Replace what `demand` took by what was used; return what was spent before, if that may alarm somebody."""

    def is_idle(self, clock: Clock) -> bool:
        """Whether it is as good as a new one."""


class _Hold(Struct, frozen=True):
    """A hold as it was granted; `taken` is by key what it was debited, and what its account has to know of that."""

    since: float
    demands: Sequence[Demand]
    taken: Mapping[str, tuple[Demand, Any]]
    verdict: Verdict


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
        self._holds: OrderedDict[str, _Hold] = OrderedDict()
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

    async def hold(self, hold_id: str, demands: Sequence[Demand]) -> Verdict:
        """Check every demand, then debit all of them; what is denied debits nothing."""
        if hold_id in self._settled or hold_id in self._settled_before:
            return _NOTHING
        if (earlier := self._holds.get(hold_id)) is not None:
            return earlier.verdict
        # Before they are looked up: an idle one among them must not be swept away for a new one. It may put another
        # table in the place of the old one.
        self._accounts.pay()
        get, now = self._accounts.get, self._clock.monotonic()
        taken: dict[str, tuple[Demand, Any]] = {}
        told: list[tuple[RateAccount, Any]] = []
        for demand in demands:
            key = demand.key
            account: Any = get(key) or self._open(demand)
            if key in taken or (took := account.take(demand, hold_id, now)) is None:
                break
            taken[key] = demand, took
            if demand.is_told:
                told.append((account, demand))
        else:
            verdict = Verdict(tightest=tightest(told, now)) if told else _NOTHING
            self._holds[hold_id] = _Hold(now, demands, taken, verdict)
            return verdict
        for key, (demand, _) in taken.items():
            account = get(key)
            account.undo(demand, hold_id)
        return self._weigh(hold_id, demands, now)

    async def settle(self, hold_id: str, used: Used | None) -> Sequence[Crossing]:
        """End a hold, by what was used of what it took; return the budget fractions that this crossed."""
        return self._settle(hold_id, used)

    async def spend(self, demands: Sequence[BudgetDemand]) -> Sequence[Crossing]:
        """Count as spent what `demands` ask and nobody held; return the budget fractions that this crossed."""
        crossings: list[Crossing] = []
        for demand in {demand.key: demand for demand in demands}.values():
            account = self._budget(demand.key, demand.resets_at)
            before = account.spent
            account.spent += demand.amount
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

    def _weigh(self, hold_id: str, demands: Sequence[Demand], now: float) -> Verdict:
        """Decide on demands that do not simply fit: one of them is denied, or two are of one key."""
        get = self._accounts.get
        pairs: list[tuple[Any, Demand]] = [(get(demand.key) or self._open(demand), demand) for demand in demands]
        told: list[tuple[RateAccount, Any]] = [(account, demand) for account, demand in pairs if demand.is_told]
        denials = [denial for account, demand in pairs if (denial := account.denial(demand, now)) is not None]
        firm = [denial for denial in denials if not denial.demand.is_shadow]
        if firm:
            longest = max(firm, key=lambda denial: denial.retry_after)
            return Verdict(denial=longest, tightest=tightest(told, now))
        # A place or money is taken under a shadow as well, over the limit or not.
        untaken = [denial.demand.key for denial in denials if type(denial.demand) is RateDemand]
        taken: dict[str, tuple[Demand, Any]] = {}
        for account, demand in pairs:
            key = demand.key
            if key in taken:
                taken[key] = _alarming(*taken[key])
            elif key not in untaken:
                taken[key] = demand, account.force(demand, hold_id, now)
        verdict = Verdict(shadows=tuple(denials), tightest=tightest(told, now))
        self._holds[hold_id] = _Hold(now, demands, taken, verdict)
        return verdict

    def _settle(self, hold_id: str, used: Used | None) -> list[Crossing]:
        hold = self._holds.pop(hold_id, None)
        self._remember(hold_id)
        if hold is None:
            return []
        get, now = self._accounts.get, self._clock.monotonic()
        crossings: list[Crossing] = []
        for key, (demand, took) in hold.taken.items():
            if used is None and type(demand) is RateDemand:
                continue
            account: Any = get(key) or self._open(demand)
            before = account.settle(demand, hold_id, used, now, took)
            if before is not None:
                crossings += _crossings(hold.demands, key, before, account.spent)
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

    def _remember(self, hold_id: str) -> None:
        self._settled.add(hold_id)
        if len(self._settled) > REMEMBERED:
            self._settled_before, self._settled = self._settled, set()


def _alarming(demand: Demand, took: Any) -> tuple[Demand, Any]:  # noqa: ANN401
    """What was taken for several budgets that count the same money: each has alarms of its own."""
    return (replace(demand, first_alert=0.0) if type(demand) is BudgetDemand else demand), took


def _crossings(demands: Sequence[Demand], key: str, before: int, spent: int) -> list[Crossing]:
    """What spending from one budget has crossed, of all that look at it."""
    crossings: list[Crossing] = []
    for demand in demands:
        if type(demand) is BudgetDemand and demand.key == key:
            crossings += demand.crossings(before, spent)
    return crossings
