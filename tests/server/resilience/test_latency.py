"""What a model's latency is said to be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.clock import FakeClock
from penstockd.resilience.latency import Latency


def test_nothing_is_said_before_it_is_known() -> None:
    """There is no average of nothing, and no 95th percentile of four."""
    latency = Latency(FakeClock())
    assert latency.ewma is None

    for _ in range(4):
        latency.observe(1.0)

    assert latency.ewma == 1.0
    assert latency.p95 is None
    latency.observe(1.0)
    assert latency.p95 == 1.0


def test_the_average_follows_by_age() -> None:
    """An observation weighs half after one half-life, and those of one moment weigh the same."""
    clock = FakeClock()
    latency = Latency(clock)

    latency.observe(1.0)
    latency.observe(3.0)
    assert latency.ewma == pytest.approx(2.0)

    clock.advance(10.0)
    latency.observe(5.0)
    assert latency.ewma == pytest.approx((0.5 * 1.0 + 0.5 * 3.0 + 5.0) / 2.0)


def test_a_long_silence_makes_room_for_the_present() -> None:
    """After hours without calls the first new observation is the average."""
    clock = FakeClock()
    latency = Latency(clock)
    latency.observe(20.0)

    clock.advance(86_400.0)
    latency.observe(0.5)

    assert latency.ewma == pytest.approx(0.5)


def test_old_observations_leave_the_percentile_though_no_new_ones_come() -> None:
    """After 5 minutes an observation says nothing about the model."""
    clock = FakeClock()
    latency = Latency(clock)
    for _ in range(5):
        latency.observe(9.0)

    clock.advance(300.0)
    assert latency.p95 == 9.0
    clock.advance(0.5)

    assert latency.p95 is None


def test_the_256_latest_observations_make_the_percentile() -> None:
    """Of 300 that rise, the first 44 are forgotten."""
    latency = Latency(FakeClock())

    for number in range(300):
        latency.observe(float(number))

    assert latency.p95 == 44 + 244 - 1  # the 244th is the first with 95 % of 256 at or below it


@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.001, 60.0)), min_size=1, max_size=40), st.integers(1, 12))
def test_the_percentile_is_that_of_the_last_256_of_5_minutes(steps: list[tuple[float, float]], times: int) -> None:
    """It equals the nearest rank in a plain list, and its memory is bounded."""
    clock = FakeClock()
    latency = Latency(clock)
    seen: list[tuple[float, float]] = []

    for gap, seconds in steps:
        clock.advance(gap)
        for repeat in range(times):
            latency.observe(seconds + repeat)
            seen.append((clock.monotonic(), seconds + repeat))

        recent = sorted(s for at, s in seen[-256:] if at >= clock.monotonic() - 300.0)
        expected = recent[math.ceil(95 * len(recent) / 100) - 1] if len(recent) >= 5 else None
        assert latency.p95 == expected
