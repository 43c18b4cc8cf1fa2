"""The rolling count beside a list of everything that was counted."""

import math

from hypothesis import given
from hypothesis import strategies as st

from penstockd.resilience.rolling_count import RollingCount


@given(st.lists(st.tuples(st.floats(0.0, 40.0), st.booleans()), max_size=80))
def test_it_counts_what_the_window_holds(steps: list[tuple[float, bool]]) -> None:
    """The count is that of the current slot and the 29 before it, whatever the gaps were."""
    count = RollingCount(window=15.0, slots=30)
    now, added = 100.0, []

    for gap, adds in steps:
        now += gap
        if adds:
            count.add(now)
            added.append(now)

        looked = count.look(now)
        in_slots = [at for at in added if math.floor(at / 0.5) > math.floor(now / 0.5) - 30]
        assert looked == count.total(now) == len(in_slots)
        assert sum(now - at < 14.5 for at in added) <= len(in_slots) <= sum(now - at < 15.0 for at in added)


def test_one_can_be_taken_back_where_it_was_counted() -> None:
    """What is taken back leaves its own slot, so the rest leaves the window when it would have."""
    count = RollingCount(window=10.0, slots=10)
    count.add(100.0)
    count.add(105.0)

    count.take_back(106.0, age=6.0)

    assert count.total(106.0) == 1
    assert count.total(110.0) == 1
    assert count.total(115.0) == 0


def test_what_the_window_has_left_cannot_be_taken_back() -> None:
    """Taking back what no longer counts leaves the count as it is."""
    count = RollingCount(window=10.0, slots=10)
    count.add(100.0)
    count.add(110.0)

    count.take_back(112.0, age=12.0)

    assert count.total(112.0) == 1


def test_cleared_it_starts_from_nothing() -> None:
    """A cleared count forgets what it held and counts on."""
    count = RollingCount(window=10.0, slots=10)
    count.add(100.0)

    count.clear()
    count.add(101.0)

    assert count.total(101.0) == 1
    assert count.total(111.0) == 0
