"""What was counted and measured in the last five minutes, ten seconds at a time."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from math import inf
from typing import TypeAlias

from msgspec import Struct

from penstockd.clock import Clock
from penstockd.metrics.distribution import Distribution

SLICE = 10.0
"""Seconds of one slice."""
SLICES = 30

Key: TypeAlias = tuple[str, ...]
Extremes: TypeAlias = tuple[float, float]
NO_EXTREMES: Extremes = (inf, -inf)


class Reading(Struct, frozen=True, kw_only=True):
    """Counters by kind and key, and distributions by name, either since the start or of a stretch of time.

    `extremes` are the smallest and largest values since the last cut, by the distributions' names.
    """

    counts: Mapping[str, Mapping[Key, int]] = {}
    distributions: Mapping[str, Distribution] = {}
    extremes: Mapping[str, Extremes] = {}

    def of(self, kind: str) -> Mapping[Key, int]:
        """The counters of a kind, by key; none where nobody counts it."""
        return self.counts.get(kind, {})

    def count(self, kind: str, *prefix: str) -> int:
        """The sum of the counters of a kind whose keys begin like this."""
        return sum(count for key, count in self.of(kind).items() if key[: len(prefix)] == prefix)

    def by(self, kind: str, part: int = 0) -> dict[str, int]:
        """The counters of a kind, by one part of their keys."""
        found: Counter[str] = Counter()
        for key, count in self.of(kind).items():
            found[key[part]] += count
        return dict(found)

    def distribution(self, name: str) -> Distribution:
        """The distribution called `name`; an empty one where nobody measures it."""
        return self.distributions.get(name, Distribution())

    def since(self, before: "Reading", extremes: Mapping[str, Extremes]) -> "Reading":
        """What came after `before`, with the extremes that it had; of the counters those that moved."""
        counts = {kind: _moved(keys, before.of(kind)) for kind, keys in self.counts.items()}
        distributions = {}
        for name, distribution in self.distributions.items():
            smallest, largest = extremes.get(name, NO_EXTREMES)
            distributions[name] = distribution.since(before.distribution(name), smallest=smallest, largest=largest)
        return Reading(counts=counts, distributions=distributions)


class Slice(Struct, frozen=True, kw_only=True):
    """What came in the `seconds` that ended at `at`, unix seconds."""

    at: float
    seconds: float
    reading: Reading


class _Mark(Struct, frozen=True, kw_only=True):
    """The end of a slice: everything since the start as it was then, with the slice's own extremes."""

    ended_at: float
    reading: Reading


class Recent:
    """Remembers what was counted at the ends of the last slices: a bounded few."""

    def __init__(self, read: Callable[[], Reading], cut: Callable[[], None], *, clock: Clock) -> None:
        """`read` gives everything since the start; `cut` starts the extremes anew."""
        self._read = read
        self._cut = cut
        self._clock = clock
        cut()
        self._marks: deque[_Mark] = deque([_Mark(ended_at=clock.monotonic(), reading=read())], maxlen=SLICES + 1)

    def keep_up(self) -> Slice | None:
        """End the running slice and return it, if its time is over; to be called about every second."""
        now, before = self._clock.monotonic(), self._marks[-1]
        if now - before.ended_at < SLICE:
            return None
        reading = self._read()
        self._marks.append(_Mark(ended_at=now, reading=reading))
        self._cut()
        ended = reading.since(before.reading, reading.extremes)
        return Slice(at=self._clock.wall(), seconds=now - before.ended_at, reading=ended)

    def last(self, seconds: float, *, now: Reading) -> Reading:
        """What came in the last `seconds`, and up to a slice before; `now` is everything since the start."""
        oldest = self._clock.monotonic() - seconds
        later = [mark.reading.extremes for mark in self._marks if mark.ended_at > oldest]
        earlier = [mark.reading for mark in self._marks if mark.ended_at <= oldest]
        before = earlier[-1] if earlier else self._marks[0].reading
        return now.since(before, _widest([*later, now.extremes], now.distributions))


def _moved(now: Mapping[Key, int], before: Mapping[Key, int]) -> dict[Key, int]:
    return {key: moved for key, count in now.items() if (moved := count - before.get(key, 0))}


def _widest(all_extremes: "list[Mapping[str, Extremes]]", names: Mapping[str, object]) -> dict[str, Extremes]:
    """The extremes of several stretches together."""
    widest = {}
    for name in names:
        lows, highs = zip(*(extremes.get(name, NO_EXTREMES) for extremes in all_extremes), strict=True)
        widest[name] = min(lows), max(highs)
    return widest
