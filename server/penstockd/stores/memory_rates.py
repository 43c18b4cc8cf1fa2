"""The rates of one process."""

from penstockd.clock import Clock
from penstockd.limits import Denial, RateDemand, RateState
from penstockd.resilience.token_bucket import TOLERANCE, Level


class RateAccount(Level):
    """What is left of one rate."""

    def denial(self, demand: RateDemand, now: float) -> Denial | None:
        """Why `demand` does not fit now, if it does not."""
        if self.full_at <= now and demand.amount <= demand.burst:
            return None  # as into any that is full: most are, as they come
        wait = self.wait(now, demand.amount, demand.rate, demand.burst)
        return Denial(demand=demand, retry_after=wait) if wait else None

    def take(self, demand: RateDemand, hold_id: str, now: float) -> float:  # noqa: ARG002 - holds of one rate are a sum
        """Debit what `demand` asks; return since when the bucket is short."""
        self.debit(now, demand.amount, demand.rate)
        return self.short_since

    def settle(self, demand: RateDemand, hold_id: str, used: float, now: float, took: float) -> None:  # noqa: ARG002
        """Replace what a demand took by what was used; the bucket was short since `took` then."""
        self.credit(now, demand.amount - used, demand.rate, took)

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
