"""The rates of one process: a number a key."""

import math
from collections.abc import Iterable

from penstockd.clock import Clock
from penstockd.limits import Denial, RateDemand, RateState
from penstockd.resilience.token_bucket import credit, debit
from penstockd.stores.idle_table import IdleTable


class MemoryRates:
    """Token buckets by key; a full one is forgotten, and so is what a hold took of one when it ends."""

    def __init__(self, clock: Clock) -> None:
        """Start with every bucket full."""
        self._clock = clock
        self._full_at: IdleTable[float] = IdleTable(lambda full_at: full_at <= clock.monotonic())
        self._undone_at: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def denial(self, demand: RateDemand) -> Denial | None:
        """Why `demand` does not fit now, if it does not."""
        wait = debit(self._at(demand), self._clock.monotonic(), demand.amount, demand.rate, demand.burst).wait
        return Denial(demand=demand, retry_after=wait) if wait > 0 else None

    def take(self, demand: RateDemand, hold_id: str) -> None:
        """Debit a demand that fits."""
        now = self._clock.monotonic()
        full_at = debit(self._at(demand), now, demand.amount, demand.rate, demand.burst).full_at
        self._full_at.put(demand.key, full_at)
        self._undone_at[demand.key, hold_id] = full_at

    def settle(self, demand: RateDemand, hold_id: str, used: float) -> None:
        """Replace what a demand took by what was used."""
        undone_at = self._undone_at.pop((demand.key, hold_id))
        if used != demand.amount:
            now = self._clock.monotonic()
            full_at = credit(self._at(demand), now, demand.amount - used, demand.rate, undone_at)
            self._full_at.put(demand.key, full_at)

    def states(self, demands: Iterable[RateDemand]) -> dict[str, RateState]:
        """How the rates of `demands` stand, by key."""
        now = self._clock.monotonic()
        return {demand.key: _state(demand, max(0.0, self._at(demand) - now)) for demand in demands}

    def sweep(self, count: int) -> None:
        """Forget what is full among the next `count` buckets."""
        self._full_at.sweep(count)

    def _at(self, demand: RateDemand) -> float:
        """When the bucket is full."""
        full_at = self._full_at.get(demand.key)
        return -math.inf if full_at is None else full_at


def _state(demand: RateDemand, reset_after: float) -> RateState:
    remaining = max(0.0, demand.burst - reset_after * demand.rate)
    return RateState(limit=demand.burst, remaining=remaining, reset_after=reset_after)
