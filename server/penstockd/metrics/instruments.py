"""What every call is measured by: aggregated in this process and read by whoever looks, so that it costs a call little.

An OpenTelemetry instrument cleans, sorts and hashes its attributes at every record; here a series is found by one look
into a dict. What happens rarely, or is counted elsewhere and observed by callback, is better off with OpenTelemetry.
"""

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import inf
from threading import Lock
from typing import Generic, TypeAlias, TypeVar

S = TypeVar("S")

MOST_SERIES = 1000
"""Label sets of one instrument that are told apart; all further ones are one, or the few that it makes of them."""
OTHER = "other"
Beyond: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Returns what is told of label values that are one set too many: it must be one of a few sets."""


def all_other(values: tuple[str, ...]) -> tuple[str, ...]:
    """Tell nothing of them."""
    return (OTHER,) * len(values)


class Series:
    """The observations of one label set, by the bucket they fall in: at most its bound, and above the one before.

    One thread calls `observe` with what is seen, any may read: each number is whole, together they may differ by what
    was seen just now. It is `waiting` until somebody reads, or `settle`s: many at once cost a third of what they would
    one by one.
    """

    __slots__ = ("_before", "_bounds", "_counts", "_largest", "_smallest", "_sum", "observe", "waiting")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count nothing yet, in a bucket for each bound and one for what is above them all."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._smallest = inf
        self._largest = -inf
        self._before = (inf, -inf)
        self.waiting = array("d")
        self.observe: Callable[[float], None] = self.waiting.append

    @property
    def counts(self) -> Sequence[int]:
        """How many there were in each bucket."""
        self.settle()
        return self._counts

    @property
    def sum(self) -> float:
        """All values together."""
        self.settle()
        return self._sum

    @property
    def smallest(self) -> float:
        """The least of all values; inf without any."""
        return min(self._before[0], self.lately[0])

    @property
    def largest(self) -> float:
        """The greatest of all values; -inf without any."""
        return max(self._before[1], self.lately[1])

    @property
    def lately(self) -> tuple[float, float]:
        """The least and the greatest since the last cut."""
        self.settle()
        return self._smallest, self._largest

    def cut(self) -> None:
        """Begin a new stretch, whose extremes are its own."""
        self._before = self.smallest, self.largest
        self._smallest, self._largest = inf, -inf

    def settle(self) -> None:
        """Count what waits."""
        with _SETTLING:
            values = self.waiting[:]
            if not values:
                return
            del self.waiting[: len(values)]  # and not what has come meanwhile
            self._sum += sum(values)
            # Sorted, they take one look for each bucket, and not one for each value.
            ordered, counted = sorted(values), 0
            for bucket, bound in enumerate(self._bounds):
                within = bisect_right(ordered, bound, counted)
                self._counts[bucket] += within - counted
                counted = within
            self._counts[-1] += len(ordered) - counted
            self._smallest = min(self._smallest, ordered[0])
            self._largest = max(self._largest, ordered[-1])


_SETTLING = Lock()
"""Held by who counts what waits: two who read at once must not count it twice."""


class Count:
    """How often something happened, or how much of it there was, under one label set; it never falls."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Count nothing yet."""
        self.value = 0

    def add(self, amount: int = 1) -> None:
        """Count `amount` more."""
        self.value += amount


class _ByLabels(dict[tuple[str, ...], S]):
    """The series by their label values; `add` makes what is missing: to look one up calls nothing of Python's."""

    def __init__(self, add: Callable[[tuple[str, ...]], S]) -> None:
        super().__init__()
        self._add = add

    def __missing__(self, values: tuple[str, ...]) -> S:
        return self._add(values)


class Instrument(ABC, Generic[S]):
    """A measure, and a series of it for each set of label values, `at` these in the order of `labels`."""

    def __init__(
        self, name: str, *, unit: str, description: str, labels: Sequence[str], beyond: Beyond = all_other
    ) -> None:
        """Have no series yet; `beyond` is what to tell of those that are too many."""
        self.name = name
        self.unit = unit
        self.description = description
        self.labels = labels
        self._beyond = beyond
        self.at: dict[tuple[str, ...], S] = _ByLabels(self._add)

    @property
    def series(self) -> list[tuple[dict[str, str], S]]:
        """Every series, and its labels; one whose value is empty is left out."""
        named = [(zip(self.labels, values, strict=True), series) for values, series in list(self.at.items())]
        return [({label: value for label, value in labels if value}, series) for labels, series in named]

    def of(self, *values: str) -> S:
        """Return the series of these label values, in the order of `labels`."""
        return self.at[values]

    @abstractmethod
    def _new(self) -> S:
        """Return a series that is empty."""

    def _add(self, values: tuple[str, ...]) -> S:
        if len(self.at) >= MOST_SERIES:
            values = self._beyond(values)
        return self.at.setdefault(values, self._new())


class Histogram(Instrument[Series]):
    """A distribution."""

    def __init__(
        self, name: str, *, unit: str, description: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        """`bounds` are the buckets' upper ends, in ascending order."""
        super().__init__(name, unit=unit, description=description, labels=labels)
        self.bounds = bounds

    def _new(self) -> Series:
        return Series(self.bounds)


class Counter(Instrument[Count]):
    """A number that only grows."""

    def __init__(
        self,
        name: str,
        *,
        unit: str,
        description: str,
        labels: Sequence[str],
        scale: float = 1,
        beyond: Beyond = all_other,
    ) -> None:
        """What is counted in whole numbers here is shown times `scale`: nano-USD as USD, say."""
        super().__init__(name, unit=unit, description=description, labels=labels, beyond=beyond)
        self.scale = scale

    def _new(self) -> Count:
        return Count()


class Instruments:
    """The histograms and counters of this process, by name: whoever asks for one again gets the same."""

    def __init__(self) -> None:
        """Measure nothing yet."""
        self._histograms: dict[str, Histogram] = {}
        self._counters: dict[str, Counter] = {}

    @property
    def histograms(self) -> list[Histogram]:
        """All there are."""
        return list(self._histograms.values())

    @property
    def counters(self) -> list[Counter]:
        """All there are."""
        return list(self._counters.values())

    def settle(self) -> None:
        """Count all that waits to be: whoever does this now and then keeps it to a few."""
        for histogram in self.histograms:
            for series in list(histogram.at.values()):
                if series.waiting:
                    series.settle()

    def histogram(
        self, name: str, *, unit: str, description: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> Histogram:
        """Return the histogram called `name`, made as described if it is new."""
        made = Histogram(name, unit=unit, description=description, labels=labels, bounds=bounds)
        return self._histograms.setdefault(name, made)

    def counter(
        self,
        name: str,
        *,
        unit: str,
        description: str,
        labels: Sequence[str],
        scale: float = 1,
        beyond: Beyond = all_other,
    ) -> Counter:
        """Return the counter called `name`, made as described if it is new."""
        made = Counter(name, unit=unit, description=description, labels=labels, scale=scale, beyond=beyond)
        return self._counters.setdefault(name, made)
