"""The rates of one process."""

from collections.abc import Sequence
from math import inf

from penstockd.clock import Clock
from penstockd.limits import Amounts, Denial, RateDemand, RateState
from penstockd.resilience.token_bucket import TOLERANCE, Level
from penstockd.stores.memory_hold import Hold


class RateAccount(Level):
    """What is left of one rate."""

    full_at_before: float = -inf

    def denial(self, demand: RateDemand, hold: Hold) -> Denial | None:
        """Why what is asked does not fit now, if it does not."""
        wait = self.wait(hold.since, hold.asked.of_rates, demand.rate, demand.burst)
        return Denial(demand=demand, asked=hold.asked, retry_after=wait) if wait else None

    def take(self, demand: RateDemand, hold: Hold) -> float | None:
        """Debit what is asked if that fits; return since when the bucket is short, else None."""
        # `wait` and `debit` in one: a call has several of these, and most find their bucket full.
        asked, now, full_at = hold.asked.of_rates, hold.since, self.full_at
        if full_at <= now:
            if asked > demand.burst:
                return None
            self.full_at_before, self.full_at, self.short_since = full_at, now + asked / demand.rate, now
            return now
        if self.wait(now, asked, demand.rate, demand.burst):
            return None
        self.full_at_before, self.full_at = full_at, full_at + asked / demand.rate
        return self.short_since

    def undo(self, demand: RateDemand, hold: Hold) -> None:  # noqa: ARG002
        """Be as before the latest `take`; of a bucket that was full it says nothing since when it had been short."""
        self.full_at = self.full_at_before

    def force(self, demand: RateDemand, hold: Hold) -> float:
        """Debit what is asked, whether it fits or not; return since when the bucket is short."""
        self.debit(hold.since, hold.asked.of_rates, demand.rate)
        return self.short_since

    def settle(self, demand: RateDemand, hold: Hold, used: Amounts, now: float) -> None:
        """Replace what was asked by what was used."""
        self.credit(now, hold.asked.of_rates - used.of_rates, demand.rate, hold.took[demand.key])

    def state(self, demand: RateDemand, now: float) -> RateState:
        """How it stands."""
        # What fits is told as left, and what fits is by this tolerance.
        burst, full_in = demand.burst, self.full_at - now - TOLERANCE
        if full_in <= 0:
            return RateState(limit=burst, remaining=burst, reset_after=0.0)
        return RateState(limit=burst, remaining=max(0.0, burst - full_in * demand.rate), reset_after=full_in)

    def is_idle(self, clock: Clock) -> bool:
        """Whether it is as good as new: full."""
        return self.full_at <= clock.monotonic()


def tightest(rates: Sequence[tuple[RateAccount, RateDemand]], now: float) -> RateState | None:
    """How the rate stands that has the least left; of equals, the one that is full the latest.

    Their rounding errors tell nothing.
    """
    least: RateState | None = None
    for account, demand in rates:
        state = account.state(demand, now)
        if least is None or _is_tighter(state, least):
            least = state
    return least


def _is_tighter(state: RateState, other: RateState) -> bool:
    if abs(state.remaining - other.remaining) <= TOLERANCE * other.limit:
        return state.reset_after > other.reset_after
    return state.remaining < other.remaining
