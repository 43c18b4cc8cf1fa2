"""How a call's time is split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.resilience.deadline import MINIMUM, NO_NEXT, first_content_by, margin, reserve


@pytest.mark.parametrize(
    ("remaining", "seconds"), [(-1.0, 0.05), (0.1, 0.05), (1.0, 0.05), (2.0, 0.1), (10.0, 0.5), (600.0, 0.5)]
)
def test_the_margin_is_a_twentieth_within_bounds(remaining: float, seconds: float) -> None:
    """5 % of the time left, 50 ms at least, 500 ms at most."""
    assert margin(remaining) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("p95", "remaining", "seconds"),
    [(0.4, 3.0, 0.4), (5.0, 3.0, 1.0), (None, 3.0, 1.0), (NO_NEXT, 3.0, 0.0), (0.4, -3.0, 0.0), (None, -3.0, 0.0)],
)
def test_the_reserve_is_the_next_models_p95_or_a_third(p95: float | None, remaining: float, seconds: float) -> None:
    """A slow or unknown next model gets a third of the time, none gets nothing, and nothing is kept of no time."""
    assert reserve(p95, remaining) == seconds


@pytest.mark.parametrize("remaining", [0.2, 0.3, 0.5, 0.9, 1.0, 1.2, 2.0])
def test_a_model_that_hangs_leaves_a_fast_one_enough_to_be_started(remaining: float) -> None:
    """Also where the margin takes what is left, and the next model was never seen to need a hundredth of a second."""
    by = first_content_by(now=100.0, expires_at=100.0 + remaining, p95_of_next=0.004)
    left = 100.0 + remaining - by

    assert by - 100.0 >= MINIMUM
    assert left - margin(left) >= 1.5 * MINIMUM


def test_a_lone_model_has_all_but_the_margin() -> None:
    """Without a next model an attempt may use the whole time but for our own ending."""
    assert first_content_by(now=100.0, expires_at=102.0) == pytest.approx(101.9)


def test_a_model_that_needs_three_fifths_of_the_time_gets_them() -> None:
    """The split does not cut short a healthy model that needs 60 % of a 2 s deadline, whatever comes next."""
    assert first_content_by(now=100.0, expires_at=102.0, p95_of_next=None) >= 101.2


@given(
    now=st.floats(0.0, 1e6),
    remaining=st.floats(-5.0, 600.0),
    p95s=st.lists(st.none() | st.floats(0.001, 100.0), max_size=6),
)
def test_hanging_models_never_use_up_the_margin(now: float, remaining: float, p95s: list[float | None]) -> None:
    """Through any row of hanging models, each ends before the deadline's margin and leaves the next its reserve."""
    expires_at = now + remaining

    for p95 in p95s:
        left = expires_at - now
        by = first_content_by(now, expires_at, p95)
        assert by <= expires_at - margin(left)
        assert expires_at - margin(left) - by >= min(left / 3.0, 100.0 if p95 is None else p95) - 1e-6
        now = max(now, by)

    assert first_content_by(now, expires_at) <= expires_at - 0.05
