"""What every call is measured by: aggregated in this process and read by whoever looks, so that it costs a call little.

An OpenTelemetry instrument cleans, sorts and hashes its attributes at every record; here a series is found by one look
into a dict. What happens rarely, or is counted elsewhere and observed by callback, is better off with OpenTelemetry.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import inf

MOST_SERIES = 1000
"""Label sets of one histogram that are told apart; all further ones are one."""
OTHER = "other"


class Series:
    """The observations of one label set, by the bucket they fall in: at most its bound, and above the one before.

    One thread writes, any may read: each number is whole, together they may differ by an observation.
    """

    __slots__ = ("_bounds", "counts", "largest", "smallest", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count nothing yet, in a bucket for each bound and one for what is above them all."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.smallest = inf
        self.largest = -inf

    def observe(self, value: float) -> None:
        """Count `value`."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value
        self.smallest = min(self.smallest, value)
        self.largest = max(self.largest, value)


class Histogram:
    """A distribution, one series for each set of label values."""

    def __init__(
        self, name: str, *, unit: str, description: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        """`bounds` are the buckets' upper ends, in ascending order."""
        self.name = name
        self.unit = unit
        self.description = description
        self.labels = labels
        self.bounds = bounds
        self._series: dict[tuple[str, ...], Series] = {}

    @property
    def series(self) -> list[tuple[dict[str, str], Series]]:
        """Every series, and its labels; one whose value is empty is left out."""
        named = [(zip(self.labels, values, strict=True), series) for values, series in list(self._series.items())]
        return [({label: value for label, value in labels if value}, series) for labels, series in named]

    def of(self, *values: str) -> Series:
        """Return the series of these label values, in the order of `labels`."""
        return self._series.get(values) or self._new(values)

    def _new(self, values: tuple[str, ...]) -> Series:
        if len(self._series) >= MOST_SERIES:
            values = (OTHER,) * len(self.labels)
        return self._series.setdefault(values, Series(self.bounds))


class Instruments:
    """The histograms of this process, by name: whoever asks for one again gets the same."""

    def __init__(self) -> None:
        """Measure nothing yet."""
        self._histograms: dict[str, Histogram] = {}

    @property
    def histograms(self) -> list[Histogram]:
        """All there are."""
        return list(self._histograms.values())

    def histogram(
        self, name: str, *, unit: str, description: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> Histogram:
        """Return the histogram called `name`, made as described if it is new."""
        made = Histogram(name, unit=unit, description=description, labels=labels, bounds=bounds)
        return self._histograms.setdefault(name, made)
