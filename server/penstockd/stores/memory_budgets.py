"""The budgets of one process."""

import math

from msgspec import Struct

from penstockd.clock import Clock
from penstockd.limits import Amounts, BudgetDemand, BudgetState, Denial
from penstockd.stores.memory_hold import Hold

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

    def denial(self, demand: BudgetDemand, hold: Hold) -> Denial | None:
        """Why `demand` cannot be paid now, if it cannot."""
        left = demand.limit - self.spent - self.held
        if hold.asked.nanousd <= left:
            return None
        resets_at = math.inf if demand.resets_at is None else demand.resets_at
        retry_after = max(0.0, resets_at - self._clock.wall())
        return Denial(demand=demand, asked=hold.asked, retry_after=retry_after, left=left)

    def take(self, demand: BudgetDemand, hold: Hold) -> int | None:
        """Hold what is asked if that is left; return it, else None."""
        asked = hold.asked.nanousd
        if asked > demand.limit - self.spent - self.held:
            return None
        self.held += asked
        self._total.held += asked
        return asked

    def undo(self, demand: BudgetDemand, hold: Hold) -> None:  # noqa: ARG002
        """Hold it no longer."""
        asked = hold.asked.nanousd
        self.held -= asked
        self._total.held -= asked

    def force(self, demand: BudgetDemand, hold: Hold) -> int:  # noqa: ARG002
        """Hold what is asked, left or not; return it."""
        asked = hold.asked.nanousd
        self.held += asked
        self._total.held += asked
        return asked

    def settle(self, demand: BudgetDemand, hold: Hold, used: Amounts, now: float) -> int | None:  # noqa: ARG002
        """Turn what is held into what was used; return what was spent before where that may alarm somebody."""
        asked, before = hold.asked.nanousd, self.spent
        self.held -= asked
        self._total.held -= asked
        spent = self.spent = before + used.nanousd
        return None if spent < demand.first_alert else before

    def is_idle(self, clock: Clock) -> bool:
        """Whether it is nothing, or of a period that is over for long."""
        if self._resets_at is None or self._resets_at > clock.wall():
            self._over_since = None
        elif self._over_since is None:
            self._over_since = clock.monotonic()
        is_past = self._over_since is not None and clock.monotonic() - self._over_since >= KEPT
        return not self.held and (is_past or not self.spent)
