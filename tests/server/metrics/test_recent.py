"""The last five minutes are known, ten seconds at a time."""

from fakes.clock import FakeClock
from penstockd.metrics.distribution import Distribution
from penstockd.metrics.instruments import Series
from penstockd.metrics.recent import SLICE, SLICES, Key, Reading, Recent, Slice


class Counted:
    """A counter and a histogram, and what was recent of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.calls = 0
        self.took = Series((1.0, 2.0))
        self.recent = Recent(self.read, self.took.cut, clock=self.clock)

    def read(self) -> Reading:
        took = Distribution(
            bounds=(1.0, 2.0),
            counts=tuple(self.took.counts),
            sum=self.took.sum,
            smallest=self.took.smallest,
            largest=self.took.largest,
        )
        counts: dict[str, dict[Key, int]] = {"code": {("OK",): self.calls}, "denied": {("acme",): 0}}
        return Reading(counts=counts, distributions={"took": took}, extremes={"took": self.took.lately})

    def call(self, seconds: float) -> None:
        self.calls += 1
        self.took.observe(seconds)

    def pass_slice(self) -> Slice:
        self.clock.advance(SLICE)
        ended = self.recent.keep_up()
        assert ended is not None
        return ended


def test_a_slice_holds_what_came_in_it() -> None:
    """And of the counters only those that moved."""
    counted = Counted()
    counted.call(0.5)
    first = counted.pass_slice()
    counted.call(1.5)
    counted.call(1.7)

    second = counted.pass_slice()

    assert first.reading.counts == {"code": {("OK",): 1}, "denied": {}}
    assert second.reading.counts == {"code": {("OK",): 2}, "denied": {}}
    summary = second.reading.distribution("took").summary()
    assert (summary.count, summary.min, summary.max) == (2, 1.5, 1.7)
    assert second.at - first.at == second.seconds == SLICE


def test_a_slice_is_not_cut_before_its_time() -> None:
    """However often it is looked at."""
    counted = Counted()

    counted.clock.advance(SLICE / 2)

    assert counted.recent.keep_up() is None


def test_what_is_recent_includes_the_running_slice() -> None:
    """A flood shows at once."""
    counted = Counted()
    counted.call(0.5)
    counted.pass_slice()
    counted.call(1.5)

    lately = counted.recent.last(300, now=counted.read())

    assert lately.count("code") == 2
    assert lately.distribution("took").largest == 1.5
    assert lately.distribution("never measured").summary().count == 0


def test_what_is_older_is_forgotten() -> None:
    """Its extremes too, though not those since the start."""
    counted = Counted()
    counted.call(100.0)
    counted.pass_slice()
    counted.call(0.5)
    for _ in range(SLICES):
        counted.pass_slice()

    lately = counted.recent.last(SLICE * SLICES, now=counted.read())

    assert (lately.count("code"), lately.distribution("took").largest) == (1, 0.5)
    assert counted.took.largest == 100.0
    assert counted.recent.last(60, now=counted.read()).count("code") == 0


def test_counters_are_summed_by_what_their_keys_begin_with() -> None:
    """Or by one part of them."""
    ended: dict[Key, int] = {("acme", "OK"): 3, ("acme", "INTERNAL"): 1, ("b", "OK"): 2}
    reading = Reading(counts={"ended": ended})

    assert reading.count("ended") == 6
    assert reading.count("ended", "acme") == 4
    assert reading.count("never counted") == 0
    assert reading.by("ended") == {"acme": 4, "b": 2}
    assert reading.by("ended", 1) == {"OK": 5, "INTERNAL": 1}
