"""A histogram's buckets are summed up in the few numbers that people read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.metrics.distribution import Distribution, Summary, together
from penstockd.metrics.instruments import Series

BOUNDS = (0.01, 0.1, 1.0, 10.0)


def of(*values: float) -> Distribution:
    """The distribution of `values`."""
    series = Series(BOUNDS)
    for value in values:
        series.observe(value)
    return Distribution(
        bounds=BOUNDS, counts=series.counts, sum=series.sum, smallest=series.smallest, largest=series.largest
    )


def test_nothing_has_no_numbers() -> None:
    """Not even zeros, which would look like fast calls."""
    assert of().summary() == Distribution().summary() == Summary(count=0)


def test_one_value_is_all_of_them() -> None:
    """The extremes are exact, so the percentiles between them are."""
    summary = of(0.25).summary()

    assert summary == Summary(count=1, min=0.25, max=0.25, avg=0.25, p50=0.25, p90=0.25, p99=0.25)


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=50))
def test_percentiles_stay_in_their_buckets(values: list[float]) -> None:
    """Each lies between the extremes, in the bucket of the value that it stands for, and they ascend."""
    summary = of(*values).summary()

    assert summary.p50 is not None
    assert summary.p90 is not None
    assert summary.p99 is not None
    assert min(values) <= summary.p50 <= summary.p90 <= summary.p99 <= max(values)
    median = sorted(values)[(len(values) - 1) // 2]
    (low, high) = next(
        (low, high) for low, high in zip((0.0, *BOUNDS), (*BOUNDS, 100.0), strict=True) if median <= high
    )
    assert low <= summary.p50 <= high


def test_percentiles_are_found_as_times_spread() -> None:
    """Half of a bucket's way is the same factor from either end."""
    values = [0.01] + [0.05] * 8 + [1.0]

    assert of(*values).quantile(0.5) == pytest.approx(0.1 * 0.1 ** (4 / 8), rel=0.1)


def test_a_bucket_from_zero_is_walked_straight() -> None:
    """Zero has no logarithm."""
    assert of(0.0, 0.005, 0.01).quantile(0.5) == pytest.approx(0.005)


def test_distributions_add_up() -> None:
    """As if all had been measured in one; nothing changes nothing."""
    assert together([of(0.5, 2.0), Distribution(), of(0.05)]) == of(0.5, 2.0, 0.05)
    assert together([]) == Distribution()


def test_what_came_later_is_told_apart() -> None:
    """Its extremes are those that its measurer knows."""
    before, now = of(0.001, 5.0), of(0.001, 5.0, 0.5, 0.7)

    lately = now.since(before, smallest=0.5, largest=0.7)

    assert lately.summary().count == 2
    assert (lately.smallest, lately.largest) == (0.5, 0.7)
    assert lately.sum == pytest.approx(1.2)
    assert now.since(Distribution(), smallest=0.001, largest=5.0) == now
