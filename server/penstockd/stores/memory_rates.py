"""The rates of one process."""

from collections.abc import Sequence
from math import inf

from penstockd.clock import Clock
from penstockd.limits import Denial, RateDemand, RateState, Used
from penstockd.resilience.token_bucket import TOLERANCE, Level


class RateAccount(Level):
    """What is left of one rate."""

    full_at_before: float = -inf

    def denial(self, demand: RateDemand, now: float) -> Denial | None:
        """Why `demand` does not fit now, if it does not."""
        wait = self.wait(now, demand.amount, demand.rate, demand.burst)
        return Denial(demand=demand, retry_after=wait) if wait else None

    def take(self, demand: RateDemand, hold_id: str, now: float) -> float | None:  # noqa: ARG002
        """Debit what `demand` asks if that fits; return since when the bucket is short, else None."""
        # `wait` and `debit` in one: a call has several of these, and most find their bucket full.
        amount, full_at = demand.amount, self.full_at
        if full_at <= now:
            if amount > demand.burst:
                return None
            self.full_at_before, self.full_at, self.short_since = full_at, now + amount / demand.rate, now
            return now
        if self.wait(now, amount, demand.rate, demand.burst):
            return None
        self.full_at_before, self.full_at = full_at, full_at + amount / demand.rate
        return self.short_since

    def undo(self, demand: RateDemand, hold_id: str) -> None:  # noqa: ARG002
        """Be as before the latest `take`; of a bucket that was full it says nothing since when it had been short."""
        self.full_at = self.full_at_before

    def force(self, demand: RateDemand, hold_id: str, now: float) -> float:  # noqa: ARG002 - holds of one rate are a sum
        """Debit what `demand` asks, whether it fits or not; return since when the bucket is short."""
        self.debit(now, demand.amount, demand.rate)
        return self.short_since

    def settle(self, demand: RateDemand, hold_id: str, used: Used | None, now: float, took: float) -> None:  # noqa: ARG002
        """Replace what a demand took by what was used; the bucket was short since `took` then."""
        if used is not None:
            self.credit(now, demand.amount - used.of_rates, demand.rate, took)

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
