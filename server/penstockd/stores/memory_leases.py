"""The concurrency leases of one process."""

from collections.abc import Callable

from penstockd.clock import Clock
from penstockd.limits import Denial, LeaseDemand
from penstockd.resilience.backoff import soon


class MemoryLeases:
    """Who holds a place, by key."""

    def __init__(self, clock: Clock, *, random: Callable[[], float]) -> None:
        """`random` draws from [0, 1): it spreads those who come back."""
        self._clock = clock
        self._random = random
        self._ends_at: dict[str, dict[str, float]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._ends_at.values()))

    def denial(self, demand: LeaseDemand) -> Denial | None:
        """Why `demand` finds no place now, if it does not."""
        places = self._ends_at.get(demand.key)
        if places is None or len(places) < demand.limit:
            return None
        self._end_what_nobody_settled(places)
        if len(places) < demand.limit:
            return None
        return Denial(demand=demand, retry_after=soon(self._random))

    def take(self, demand: LeaseDemand, hold_id: str) -> None:
        """Give the hold a place."""
        self._ends_at.setdefault(demand.key, {})[hold_id] = self._clock.monotonic() + demand.ttl

    def settle(self, demand: LeaseDemand, hold_id: str, used: float, took: None) -> None:  # noqa: ARG002 - one is one
        """Take the hold's place back."""
        places = self._ends_at.get(demand.key, {})
        places.pop(hold_id, None)
        if not places:
            self._ends_at.pop(demand.key, None)

    def _end_what_nobody_settled(self, places: dict[str, float]) -> None:
        now = self._clock.monotonic()
        for hold_id in [hold_id for hold_id, ends_at in places.items() if ends_at <= now]:
            del places[hold_id]
