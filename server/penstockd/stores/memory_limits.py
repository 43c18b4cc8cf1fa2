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
    RateState,
    Used,
    Verdict,
)
from penstockd.resilience.token_bucket import TOLERANCE
from penstockd.stores.idle_table import IdleTable
from penstockd.stores.memory_budgets import BudgetAccount, Total
from penstockd.stores.memory_leases import LeaseAccount
from penstockd.stores.memory_rates import RateAccount

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
        """Debit what `demand` asks; return what the account has to know of it when it is settled."""

    def settle(self, demand: D_contra, hold_id: str, used: float, now: float, took: Any) -> int | None:  # noqa: ANN401
        """Replace what `demand` took by what was used of it; return what was spent before, if this counts money."""

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
        accounts: list[tuple[str, Any, Demand]] = []
        told: list[tuple[RateAccount, Any]] = []
        denials: list[Denial] = []
        for demand in demands:
            key = demand.key
            account: Any = get(key) or self._open(demand)
            accounts.append((key, account, demand))
            if demand.is_told:
                told.append((account, demand))
            if (denial := account.denial(demand, now)) is not None:
                denials.append(denial)
        if denials:
            firm = [denial for denial in denials if not denial.demand.is_shadow]
            if firm:
                longest = max(firm, key=lambda denial: denial.retry_after)
                return Verdict(denial=longest, tightest=_tightest(told, now))
            # A place or money is taken under a shadow as well, over the limit or not.
            untaken = {denial.demand.key for denial in denials if type(denial.demand) is RateDemand}
            accounts = [each for each in accounts if each[0] not in untaken]
        taken: dict[str, tuple[Demand, Any]] = {}
        for key, account, demand in accounts:
            if key not in taken:
                taken[key] = demand, account.take(demand, hold_id, now)
        verdict = Verdict(shadows=tuple(denials), tightest=_tightest(told, now)) if told or denials else _NOTHING
        self._holds[hold_id] = _Hold(now, demands, taken, verdict)
        return verdict

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

    def _settle(self, hold_id: str, used: Used | None) -> list[Crossing]:
        hold = self._holds.pop(hold_id, None)
        self._remember(hold_id)
        if hold is None:
            return []
        now = self._clock.monotonic()
        get, are_others = self._accounts.get, len(hold.taken) < len(hold.demands)
        crossings: list[Crossing] = []
        for key, (demand, took) in hold.taken.items():
            kind, amount = type(demand), 0.0
            if used is not None:
                amount = used.of_rates if kind is RateDemand else used.nanousd
            elif kind is RateDemand:
                continue
            elif type(demand) is BudgetDemand:
                amount = demand.amount
            account: Any = get(key) or self._open(demand)
            before = account.settle(demand, hold_id, amount, now, took)
            # Where others count the same money, they are among the demands and took nothing themselves.
            if type(demand) is BudgetDemand and (account.spent >= demand.first_alert or are_others):
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


def _tightest(rates: Sequence[tuple[RateAccount, RateDemand]], now: float) -> RateState | None:
    """How the rate stands that has the least left; of equals, the one that is full the latest.

    Their rounding errors tell nothing.
    """
    tightest: RateState | None = None
    for account, demand in rates:
        state = account.state(demand, now)
        if tightest is None or _is_tighter(state, tightest):
            tightest = state
    return tightest


def _is_tighter(state: RateState, other: RateState) -> bool:
    if abs(state.remaining - other.remaining) <= TOLERANCE * other.limit:
        return state.reset_after > other.reset_after
    return state.remaining < other.remaining


def _crossings(demands: Sequence[Demand], key: str, before: int, spent: int) -> list[Crossing]:
    """What spending from one budget has crossed, of all that look at it."""
    crossings: list[Crossing] = []
    for demand in demands:
        if type(demand) is BudgetDemand and demand.key == key:
            crossings += demand.crossings(before, spent)
    return crossings
