"""Keeps repeats from multiplying the load on a model that fails."""

from penstockd.clock import Clock
from penstockd.resilience.rolling_count import RollingCount

SLOTS = 10
WINDOW = 10.0
"""Seconds."""


class RetryBudget:
    """Allows repeats up to a part of the calls of the last ten seconds, or `floor_per_second` where that is more.

    The larger of the two, not their sum: above 10 calls/s a dead upstream sees no more than 1.1 × the calls. See
    https://finagle.github.io/blog/2016/02/08/retry-budgets/ for why budgets and not a number of tries alone.
    """

    def __init__(self, clock: Clock, ratio: float = 0.1, floor_per_second: float = 1.0) -> None:
        self._clock = clock
        self._ratio = ratio
        self._floor = floor_per_second * WINDOW
        self._calls = RollingCount(WINDOW, SLOTS)
        self._repeats = RollingCount(WINDOW, SLOTS)

    @property
    def available(self) -> int:
        """How many repeats it would grant now."""
        now = self._clock.monotonic()
        allowed = max(self._floor, self._ratio * self._calls.look(now))
        return max(0, int(allowed) - self._repeats.look(now))

    def deposit(self) -> None:
        """Count a first try."""
        self._calls.add(self._clock.monotonic())

    def withdraw(self) -> None:
        """Count a repeat, for which there is one available."""
        self._repeats.add(self._clock.monotonic())

    def refund(self, age: float = 0.0) -> None:
        """Uncount a repeat that was withdrawn `age` seconds ago and cancelled; nothing once the window has left it."""
        self._repeats.take_back(self._clock.monotonic(), age)
