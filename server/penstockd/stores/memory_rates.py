"""The rates of one process: a bucket a key."""

from collections.abc import Iterable

from penstockd.clock import Clock
from penstockd.limits import Denial, RateDemand, RateState
from penstockd.resilience.token_bucket import Level, credit, debit, wait_for
from penstockd.stores.idle_table import IdleTable


class MemoryRates:
    """Token buckets by key; a full one is forgotten."""

    def __init__(self, clock: Clock) -> None:
        """Start with every bucket full."""
        self._clock = clock
        self._levels: IdleTable[Level] = IdleTable(lambda level: level.full_at <= clock.monotonic())

    def __len__(self) -> int:
        return len(self._levels)

    def denial(self, demand: RateDemand) -> Denial | None:
        """Why `demand` does not fit now, if it does not."""
        level = self._levels.get(demand.key) or _FULL
        wait = wait_for(level, self._clock.monotonic(), demand.amount, demand.rate, demand.burst)
        return Denial(demand=demand, retry_after=wait) if wait else None

    def take(self, demand: RateDemand, hold_id: str) -> float:  # noqa: ARG002 - holds of one bucket are one sum
        """Debit a demand; return since when its bucket is short."""
        key = demand.key
        level = debit(self._levels.get(key) or _FULL, self._clock.monotonic(), demand.amount, demand.rate)
        self._levels.put(key, level)
        return level.short_since

    def settle(self, demand: RateDemand, hold_id: str, used: float, took: float) -> None:  # noqa: ARG002 - as above
        """Replace what a demand took by what was used; the bucket was short since `took` then."""
        if used != demand.amount:
            key = demand.key
            level = self._levels.get(key) or _FULL
            unused = demand.amount - used
            self._levels.put(key, credit(level, self._clock.monotonic(), unused, demand.rate, took))

    def states(self, demands: Iterable[RateDemand]) -> dict[str, RateState]:
        """How the rates of `demands` stand, by key."""
        now, level_of = self._clock.monotonic(), self._levels.get
        return {demand.key: _state(demand, (level_of(demand.key) or _FULL).full_at - now) for demand in demands}

    def sweep(self, count: int) -> None:
        """Forget what is full among the next `count` buckets."""
        self._levels.sweep(count)


_FULL = Level()


def _state(demand: RateDemand, full_in: float) -> RateState:
    if full_in <= 0:
        return RateState(limit=demand.burst, remaining=demand.burst, reset_after=0.0)
    remaining = max(0.0, demand.burst - full_in * demand.rate)
    return RateState(limit=demand.burst, remaining=remaining, reset_after=full_in)
