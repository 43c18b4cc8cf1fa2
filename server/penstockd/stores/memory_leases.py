"""The concurrency leases of one process."""

from collections.abc import Callable

from penstockd.clock import Clock
from penstockd.limits import Amounts, Denial, LeaseDemand
from penstockd.resilience.backoff import soon
from penstockd.stores.memory_hold import Hold


class LeaseAccount:
    """Who holds the places of one limit, and until when at most."""

    __slots__ = ("_random", "places")

    def __init__(self, random: Callable[[], float]) -> None:
        """Nobody yet; `random` draws from [0, 1): it spreads those who come back."""
        self.places: dict[str, float] = {}
        self._random = random

    def denial(self, demand: LeaseDemand, hold: Hold) -> Denial | None:
        """Why `demand` finds no place now, if it does not."""
        places = self.places
        if len(places) < demand.limit:
            return None
        for hold_id in [hold_id for hold_id, ends_at in places.items() if ends_at <= hold.since]:
            del places[hold_id]  # which nobody settled
        if len(places) < demand.limit:
            return None
        return Denial(demand=demand, asked=hold.asked, retry_after=soon(self._random))

    def take(self, demand: LeaseDemand, hold: Hold) -> float | None:
        """Give the hold a place if one is free; return until when, else None."""
        places = self.places
        if len(places) >= demand.limit:
            return None
        ends_at = places[hold.id] = hold.since + demand.ttl
        return ends_at

    def undo(self, demand: LeaseDemand, hold: Hold) -> None:  # noqa: ARG002
        """Take the hold's place back."""
        self.places.pop(hold.id, None)

    def force(self, demand: LeaseDemand, hold: Hold) -> float:
        """Give the hold a place, free or not; return until when."""
        ends_at = self.places[hold.id] = hold.since + demand.ttl
        return ends_at

    def settle(self, demand: LeaseDemand, hold: Hold, used: Amounts, now: float) -> None:  # noqa: ARG002
        """Take the hold's place back, whatever was used."""
        self.places.pop(hold.id, None)

    def is_idle(self, clock: Clock) -> bool:  # noqa: ARG002 - places that nobody gives back end with their holds
        """Whether nobody holds a place."""
        return not self.places
