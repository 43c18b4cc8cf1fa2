"""How measured values are spread, as a histogram knows it, and the few numbers that people read of it."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate
from math import inf

from msgspec import Struct

SMALLEST = 1e-9
"""What is less has no logarithm worth having."""


class Summary(Struct, frozen=True, kw_only=True):
    """A distribution in short; all but the count is None where there was nothing to measure."""

    count: int
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None


class Distribution(Struct, frozen=True, kw_only=True):
    """Values by the bucket they fall in: at most its bound and above the one before, the last without a bound.

    `smallest` and `largest` are exact; without values they are inf and -inf.
    """

    bounds: Sequence[float] = ()
    counts: Sequence[int] = ()
    sum: float = 0.0
    smallest: float = inf
    largest: float = -inf

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    def __add__(self, other: "Distribution") -> "Distribution":
        """Both together; their bounds are the same, or one of them is empty."""
        if not self.counts or not other.counts:
            return self if self.counts else other
        return Distribution(
            bounds=self.bounds,
            counts=[mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)],
            sum=self.sum + other.sum,
            smallest=min(self.smallest, other.smallest),
            largest=max(self.largest, other.largest),
        )

    def since(self, before: "Distribution", *, smallest: float, largest: float) -> "Distribution":
        """What was measured after `before`, whose extremes the caller knows."""
        earlier = before.counts or [0] * len(self.counts)
        counts = [now - then for now, then in zip(self.counts, earlier, strict=True)]
        return Distribution(
            bounds=self.bounds, counts=counts, sum=self.sum - before.sum, smallest=smallest, largest=largest
        )

    def quantile(self, part: float) -> float:
        """The value that `part` of all do not exceed; there must be some.

        Within its bucket on a straight line of logarithms: times spread that way, and so do the bounds.
        """
        upto = list(accumulate(self.counts))
        rank = part * upto[-1]
        index = bisect_left(upto, max(rank, SMALLEST))
        below = upto[index - 1] if index else 0
        low = max(self.smallest, self.bounds[index - 1] if index else 0.0)
        high = min(self.largest, self.bounds[index] if index < len(self.bounds) else inf)
        return _between(low, max(low, high), (rank - below) / (upto[index] - below))

    def summary(self) -> Summary:
        """Return the few numbers; percentiles are as exact as the buckets are narrow."""
        count = self.count
        if not count:
            return Summary(count=0)
        return Summary(
            count=count,
            min=self.smallest,
            max=self.largest,
            avg=self.sum / count,
            p50=self.quantile(0.5),
            p90=self.quantile(0.9),
            p99=self.quantile(0.99),
        )


def _between(low: float, high: float, part: float) -> float:
    straight = low < SMALLEST
    return min(high, max(low, low + (high - low) * part if straight else low * (high / low) ** part))


def together(distributions: Iterable[Distribution]) -> Distribution:
    """Return all of them as one."""
    return reduce(Distribution.__add__, distributions, Distribution())
