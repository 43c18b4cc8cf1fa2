"""The budgets of one process."""

import math

from msgspec import Struct

from penstockd.clock import Clock
from penstockd.limits import BudgetDemand, BudgetState, Denial, Used

KEPT = 3600.0
"""Seconds for which a budget is kept when its period is over: the wall clock may have been wrong, and be put back."""


class Total(Struct):
    """What all budgets hold, in nano-USD."""

    held: int = 0


class BudgetAccount:
    """Nano-USD of one budget in one period, which ends at `resets_at`, unix seconds."""

    __slots__ = ("_clock", "_over_since", "_resets_at", "_total", "held", "spent")

    def __init__(self, resets_at: float | None, *, total: Total, clock: Clock) -> None:
        """Start with nothing spent; what is held counts in `total` too."""
        self.spent = 0
        self.held = 0
        self._resets_at = resets_at
        self._total = total
        self._clock = clock
        # The monotonic second in which the end of the period was first seen to be past.
        self._over_since: float | None = None

    @property
    def state(self) -> BudgetState:
        """How it stands."""
        return BudgetState(spent=self.spent, held=self.held)

    def denial(self, demand: BudgetDemand, now: float) -> Denial | None:  # noqa: ARG002 - periods are the wall clock's
        """Why `demand` cannot be paid now, if it cannot."""
        left = demand.limit - self.spent - self.held
        if demand.amount <= left:
            return None
        resets_at = math.inf if demand.resets_at is None else demand.resets_at
        return Denial(demand=demand, retry_after=max(0.0, resets_at - self._clock.wall()), left=left)

    def take(self, demand: BudgetDemand, hold_id: str, now: float) -> int | None:  # noqa: ARG002
        """Hold what `demand` asks if that is left; return it, else None."""
        amount = demand.amount
        if amount > demand.limit - self.spent - self.held:
            return None
        self.held += amount
        self._total.held += amount
        return amount

    def undo(self, demand: BudgetDemand, hold_id: str) -> None:  # noqa: ARG002
        """Hold it no longer."""
        self.held -= demand.amount
        self._total.held -= demand.amount

    def force(self, demand: BudgetDemand, hold_id: str, now: float) -> int:  # noqa: ARG002 - holds of one are a sum
        """Hold what `demand` asks, left or not; return it."""
        amount = demand.amount
        self.held += amount
        self._total.held += amount
        return amount

    def settle(self, demand: BudgetDemand, hold_id: str, used: Used | None, now: float, took: int) -> int | None:  # noqa: ARG002
        """Turn what a demand holds into what was used; return what was spent before where that may alarm somebody."""
        self.held -= took
        self._total.held -= took
        before = self.spent
        spent = self.spent = before + (took if used is None else used.nanousd)
        return None if spent < demand.first_alert else before

    def is_idle(self, clock: Clock) -> bool:
        """Whether it is nothing, or of a period that is over for long."""
        if self._resets_at is None or self._resets_at > clock.wall():
            self._over_since = None
        elif self._over_since is None:
            self._over_since = clock.monotonic()
        is_past = self._over_since is not None and clock.monotonic() - self._over_since >= KEPT
        return not self.held and (is_past or not self.spent)
