"""How fast a model has been lately."""

import math
from bisect import bisect_left, insort
from collections import deque

from penstockd.clock import Clock

MOST = 256
LONGEST_AGO = 300.0
FEWEST_FOR_P95 = 5
HALF_LIFE = 10.0
"""Seconds in which an observation's weight in the average halves."""
DOUBT = 60.0
"""Seconds without an observation in which what is expected of a model halves: one that was slow once is tried again."""


class Latency:
    """An average of what was observed lately, and the 95th percentile.

    Weights are by age and not by order, so that observations of one moment weigh the same.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sum = 0.0
        self._weight = 0.0
        self._observed_at = -math.inf
        self._recent: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []

    @property
    def ewma(self) -> float | None:
        """The weighted average in seconds; None until one was observed."""
        return self._sum / self._weight if self._weight else None

    @property
    def expected(self) -> float | None:
        """What the next call may take: the average, less of it the longer ago that was; None until one was observed."""
        average = self.ewma
        return None if average is None else average * 0.5 ** ((self._clock.monotonic() - self._observed_at) / DOUBT)

    @property
    def p95(self) -> float | None:
        """95 % of the last 256 observations of the last 5 minutes took no longer; None for fewer than five."""
        while self._recent and self._recent[0][0] < self._clock.monotonic() - LONGEST_AGO:
            self._forget_oldest()
        if len(self._sorted) < FEWEST_FOR_P95:
            return None
        return self._sorted[math.ceil(95 * len(self._sorted) / 100) - 1]

    def observe(self, seconds: float) -> None:
        """Count what a call took."""
        now = self._clock.monotonic()
        fade = 0.5 ** ((now - self._observed_at) / HALF_LIFE)
        self._sum = self._sum * fade + seconds
        self._weight = self._weight * fade + 1.0
        self._observed_at = now
        if len(self._recent) == MOST:
            self._forget_oldest()
        self._recent.append((now, seconds))
        insort(self._sorted, seconds)

    def _forget_oldest(self) -> None:
        _, seconds = self._recent.popleft()
        del self._sorted[bisect_left(self._sorted, seconds)]
