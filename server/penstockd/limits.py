"""Limits and budgets as the interceptors and the stores see them: what is asked, what was decided."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from msgspec import Struct


class RateDemand(Struct, frozen=True, kw_only=True):
    """A rate that binds: GCRA over `rate` a second with `burst` at once. `key` is where the store keeps its state.

    `subject` is who is counted, of the kind `per` and in `tenant`; `is_told` where the caller is to know how it stands
    then.
    """

    key: str
    tenant: str
    per: str
    subject: str
    rule: str
    rate: float
    burst: float
    is_shadow: bool = False
    is_told: bool = True


class LeaseDemand(Struct, frozen=True, kw_only=True):
    """One of `limit` places, held until the hold is settled, or for `ttl` seconds if nobody does.

    A place is taken under a shadow as well, over the limit or not: it is in use.
    """

    is_told: ClassVar[bool] = False

    key: str
    tenant: str
    per: str
    subject: str
    rule: str
    limit: int
    ttl: float
    is_shadow: bool = False


class BudgetDemand(Struct, frozen=True, kw_only=True):
    """`limit` nano-USD in the period that ends at `resets_at` (unix seconds, None = never).

    `key` names the account and its period, so that a new period starts at nothing; budgets that count the same money
    under different limits share it. What is spent under a shadow is counted as well, over the limit or not.
    `first_alert` is the spending, in nano-USD, below which no fraction of `alert_at` is reached.
    """

    is_told: ClassVar[bool] = False

    key: str
    tenant: str
    per: str
    subject: str
    rule: str
    limit: int
    resets_at: float | None
    alert_at: tuple[float, ...] = ()
    first_alert: float = 0.0
    is_shadow: bool = False

    def crossings(self, before: int, spent: int) -> list["Crossing"]:
        """The fractions of the limit that spending has crossed on its way from `before` to `spent`."""
        return [
            Crossing(demand=self, fraction=fraction, spent=spent)
            for fraction in self.alert_at
            if before < fraction * self.limit <= spent
        ]


Demand = RateDemand | LeaseDemand | BudgetDemand
"""What binds a caller, the same from call to call: what a call takes of it is said beside it."""


class Amounts(Struct, frozen=True, kw_only=True):
    """What a call or attempt asks, or came to: so much of each rate, and so many nano-USD of each budget.

    Of leases it always takes one place each.
    """

    of_rates: float = 0
    nanousd: int = 0


NOTHING_USED = Amounts()


class Denial(Struct, frozen=True, kw_only=True):
    """The demand that could not be met, what was asked, and in how many seconds it could be (inf = never as it stands).

    Exact for a rate, jittered for a lease; for a budget it is the time until the next period. `left` is what is neither
    spent nor held of a budget, in nano-USD, negative where its limit was lowered; None for what is no budget.
    """

    demand: Demand
    asked: Amounts
    retry_after: float
    left: int | None = None


class RateState(Struct, frozen=True, kw_only=True):
    """A rate after a decision: its burst, what is left of it now, and in how many seconds all of it is back."""

    limit: float
    remaining: float
    reset_after: float


class BudgetState(Struct, frozen=True, kw_only=True):
    """A budget as it stands, in nano-USD."""

    spent: int
    held: int


class Verdict(Struct, frozen=True, kw_only=True):
    """What the store decided on a hold: granted unless there is a denial, which is the longest of them all.

    `shadows` are the denials of shadows in a granted hold; `tightest` is how the rate with the least left stands, of
    those that are told.
    """

    denial: Denial | None = None
    shadows: tuple[Denial, ...] = ()
    tightest: RateState | None = None


class LimitStore(Protocol):
    """Keeps the state of limits and budgets, here or shared by all replicas.

    `is_local` where no step of it ever waits, so that no cancel comes in between, and none fails.
    """

    @property
    def is_local(self) -> bool:
        """Whether settling needs no guard against a cancelled caller, and its state can always be reached."""

    async def hold(self, hold_id: str, demands: Sequence[Demand], asked: Amounts) -> Verdict:
        """Check every demand for what is `asked`, then debit all, in one atomic step; what is denied debits nothing.

        Demands with one key take once. Idempotent by `hold_id`, and without effect once that is settled. Raises
        StoreUnavailable where the state cannot be reached; a hold that raises, or is cancelled, holds nothing.
        """

    async def settle(self, hold_id: str, used: Amounts | None) -> Sequence["Crossing"]:
        """End a hold: what it took is replaced by what was `used`, which is all of it if that is None; leases end.

        Rates get back what was not used, or are debited what was used beyond; budgets move it from held to spent.
        Idempotent by `hold_id`. What cannot be settled now is settled later, and is no error. Returns the budget
        fractions that this crossed, each once per period.
        """

    async def spend(self, demands: Sequence[BudgetDemand], nanousd: int) -> Sequence["Crossing"]:
        """Count as spent what nobody held of `demands`, whether it fits or not; demands with one key count once.

        What cannot be counted now is counted later, and is no error. Returns the budget fractions that this crossed.
        """

    async def budget(self, key: str) -> BudgetState:
        """Return a budget as it stands."""

    async def set_spent(self, key: str, spent: int, resets_at: float | None) -> None:
        """Start a budget at what the ledger says was spent in its period, which ends at `resets_at`."""


class Crossing(Struct, frozen=True, kw_only=True):
    """A budget's spending reached a fraction of it that somebody wants to know of."""

    demand: BudgetDemand
    fraction: float
    spent: int


class StoreUnavailable(Exception):
    """The store's state cannot be reached."""
