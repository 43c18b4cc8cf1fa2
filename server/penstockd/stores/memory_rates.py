"""The rates of one process: a bucket a key."""

from collections.abc import Iterable

from penstockd.clock import Clock
from penstockd.limits import Denial, RateDemand, RateState
from penstockd.resilience.token_bucket import Level, credit, debit
from penstockd.stores.idle_table import IdleTable


class MemoryRates:
    """Token buckets by key; a full one is forgotten, and so is what a hold took of one when it ends."""

    def __init__(self, clock: Clock) -> None:
        """Start with every bucket full."""
        self._clock = clock
        self._levels: IdleTable[Level] = IdleTable(lambda level: level.full_at <= clock.monotonic())
        self._short_since: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._levels)

    def denial(self, demand: RateDemand) -> Denial | None:
        """Why `demand` does not fit now, if it does not."""
        wait = debit(self._at(demand), self._clock.monotonic(), demand.amount, demand.rate, demand.burst).wait
        return Denial(demand=demand, retry_after=wait) if wait > 0 else None

    def take(self, demand: RateDemand, hold_id: str) -> None:
        """Debit a demand that fits."""
        now = self._clock.monotonic()
        level = debit(self._at(demand), now, demand.amount, demand.rate, demand.burst).level
        self._levels.put(demand.key, level)
        self._short_since[demand.key, hold_id] = level.short_since

    def settle(self, demand: RateDemand, hold_id: str, used: float) -> None:
        """Replace what a demand took by what was used."""
        short_since = self._short_since.pop((demand.key, hold_id))
        if used != demand.amount:
            now = self._clock.monotonic()
            level = credit(self._at(demand), now, demand.amount - used, demand.rate, short_since)
            self._levels.put(demand.key, level)

    def states(self, demands: Iterable[RateDemand]) -> dict[str, RateState]:
        """How the rates of `demands` stand, by key."""
        now = self._clock.monotonic()
        return {demand.key: _state(demand, max(0.0, self._at(demand).full_at - now)) for demand in demands}

    def sweep(self, count: int) -> None:
        """Forget what is full among the next `count` buckets."""
        self._levels.sweep(count)

    def _at(self, demand: RateDemand) -> Level:
        return self._levels.get(demand.key) or _FULL


_FULL = Level()


def _state(demand: RateDemand, reset_after: float) -> RateState:
    remaining = max(0.0, demand.burst - reset_after * demand.rate)
    return RateState(limit=demand.burst, remaining=remaining, reset_after=reset_after)
