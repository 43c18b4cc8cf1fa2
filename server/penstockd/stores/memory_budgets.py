"""The budgets of one process."""

import math
from dataclasses import dataclass

from penstockd.clock import Clock
from penstockd.limits import BudgetDemand, BudgetState, Denial
from penstockd.stores.idle_table import IdleTable

KEPT = 3600.0
"""Seconds for which a budget is kept when its period is over: the wall clock may have been wrong, and be put back."""


@dataclass(slots=True)
class _Account:
    """Nano-USD of one budget in one period, which ends at `resets_at`, unix seconds.

    `over_since` is the monotonic second in which that was first seen to be past.
    """

    resets_at: float | None
    spent: int = 0
    held: int = 0
    over_since: float | None = None


class MemoryBudgets:
    """What was spent and is held, by key; forgotten some time after its period, or while it is nothing."""

    def __init__(self, clock: Clock) -> None:
        """Start with nothing spent; `held` is what all of them hold, in nano-USD."""
        self.held = 0
        self._clock = clock
        self._accounts: IdleTable[_Account] = IdleTable(self._is_idle)

    def __len__(self) -> int:
        return len(self._accounts)

    def spent(self, key: str) -> int:
        """What was spent of a budget."""
        account = self._accounts.get(key)
        return account.spent if account else 0

    def state(self, key: str) -> BudgetState:
        """How a budget stands."""
        account = self._accounts.get(key)
        return BudgetState(spent=account.spent, held=account.held) if account else BudgetState(spent=0, held=0)

    def set_spent(self, key: str, spent: int, resets_at: float | None) -> None:
        """Replace what was spent."""
        self._account(key, resets_at).spent = spent

    def denial(self, demand: BudgetDemand) -> Denial | None:
        """Why `demand` cannot be paid now, if it cannot."""
        account = self._accounts.get(demand.key)
        taken = account.spent + account.held if account else 0
        if taken + demand.amount <= demand.limit:
            return None
        resets_at = math.inf if demand.resets_at is None else demand.resets_at
        retry_after = max(0.0, resets_at - self._clock.wall())
        return Denial(demand=demand, retry_after=retry_after, left=demand.limit - taken)

    def take(self, demand: BudgetDemand, hold_id: str) -> None:  # noqa: ARG002 - holds of one budget are one sum
        """Hold what `demand` asks."""
        self._account(demand.key, demand.resets_at).held += demand.amount
        self.held += demand.amount

    def settle(self, demand: BudgetDemand, hold_id: str, used: float, took: None) -> None:  # noqa: ARG002 - as above
        """Turn what a demand holds into what was used."""
        account = self._account(demand.key, demand.resets_at)
        account.held -= demand.amount
        self.held -= demand.amount
        account.spent += round(used)

    def spend(self, demand: BudgetDemand) -> None:
        """Count as spent what `demand` asks, though nobody held it."""
        self._account(demand.key, demand.resets_at).spent += demand.amount

    def sweep(self, count: int) -> None:
        """Forget what is idle among the next `count` budgets."""
        self._accounts.sweep(count)

    def _account(self, key: str, resets_at: float | None) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            account = _Account(resets_at)
            self._accounts.put(key, account)
        return account

    def _is_idle(self, account: _Account) -> bool:
        if account.resets_at is None or account.resets_at > self._clock.wall():
            account.over_since = None
        elif account.over_since is None:
            account.over_since = self._clock.monotonic()
        is_past = account.over_since is not None and self._clock.monotonic() - account.over_since >= KEPT
        return not account.held and (is_past or not account.spent)
