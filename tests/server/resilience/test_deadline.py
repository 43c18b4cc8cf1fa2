"""How a call's time is split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.resilience.deadline import MINIMUM, margin, reserve


@pytest.mark.parametrize(
    ("remaining", "seconds"), [(-1.0, 0.05), (0.1, 0.05), (1.0, 0.05), (2.0, 0.1), (10.0, 0.5), (600.0, 0.5)]
)
def test_the_margin_is_a_twentieth_within_bounds(remaining: float, seconds: float) -> None:
    """5 % of the time left, 50 ms at least, 500 ms at most."""
    assert margin(remaining) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("p95", "remaining", "seconds"),
    [(0.4, 3.0, 0.4), (5.0, 3.0, 1.0), (None, 3.0, 1.0), (0.4, -3.0, 0.0), (None, -3.0, 0.0)],
)
def test_the_reserve_is_the_next_models_p95_or_a_third(p95: float | None, remaining: float, seconds: float) -> None:
    """A slow or unknown next model gets a third of the time, and nothing is kept of no time."""
    assert reserve(p95, remaining) == seconds


@pytest.mark.parametrize("remaining", [0.2, 0.3, 0.5, 0.9, 1.0, 1.2, 2.0])
def test_a_model_that_hangs_leaves_a_fast_one_enough_to_be_started(remaining: float) -> None:
    """Also where the margin takes what is left, and the next model was never seen to need a hundredth of a second."""
    left = margin(remaining) + reserve(0.004, remaining)

    assert remaining - left >= MINIMUM
    assert left - margin(left) >= 1.5 * MINIMUM


def test_a_model_that_needs_three_fifths_of_the_time_gets_them() -> None:
    """The split does not cut short a healthy model that needs 60 % of a 2 s deadline, whatever comes next."""
    assert 2.0 - margin(2.0) - reserve(None, 2.0) >= 1.2


@given(remaining=st.floats(0.05, 600.0), p95s=st.lists(st.none() | st.floats(0.001, 100.0), max_size=6))
def test_hanging_models_never_use_up_the_margin(remaining: float, p95s: list[float | None]) -> None:
    """Through any row of hanging models, each ends before the deadline's margin and leaves the next its reserve."""
    for p95 in p95s:
        kept = reserve(p95, remaining)
        assert kept >= min(remaining / 3.0, 100.0 if p95 is None else p95)
        remaining -= max(0.0, remaining - margin(remaining) - kept)

    assert remaining >= 0.05 - 1e-6
