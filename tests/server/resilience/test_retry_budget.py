"""The budget that keeps repeats from multiplying load."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.clock import FakeClock
from penstockd.resilience.retry_budget import RetryBudget


def granted(budget: RetryBudget, wanted: int) -> int:
    """Withdraw as many of so many repeats as there are."""
    available = min(wanted, budget.available)
    for _ in range(available):
        budget.withdraw()
    return available


def repeats_at(rate: int, seconds: int) -> list[int]:
    """The repeats allowed in each second to callers that always want three more, at `rate` first tries a second."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    allowed = []
    for _ in range(seconds):
        repeats = 0
        for _ in range(rate):
            budget.deposit()
            repeats += granted(budget, 3)
            clock.advance(1 / rate)
        allowed.append(repeats)
    return allowed


@pytest.mark.parametrize("rate", [10, 16, 50, 128])
def test_a_dead_upstream_is_hit_no_harder_than_a_tenth_more(rate: int) -> None:
    """From 10 calls/s on, repeats are at most 10 % of the calls of any 10 s, and nearly all of those are allowed."""
    seconds = repeats_at(rate, 60)

    tens = [sum(seconds[at : at + 10]) for at in range(51)]

    assert max(tens) <= 0.1 * 10 * rate
    assert min(tens[10:]) >= 0.85 * 0.1 * 10 * rate


def test_a_quiet_model_may_be_tried_again_once_a_second() -> None:
    """Below 10 calls/s the floor of ten repeats in 10 s holds."""
    seconds = repeats_at(2, 30)

    assert [sum(seconds[at : at + 10]) for at in (0, 10, 20)] == [10, 10, 10]


def test_looking_costs_nothing() -> None:
    """Asking in vain does not put off the next repeat."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    assert granted(budget, 20) == 10

    assert [budget.available for _ in range(3)] == [0, 0, 0]
    clock.advance(10.0)

    assert budget.available == 10


def test_a_refunded_repeat_leaves_it_unmoved() -> None:
    """A repeat that was withdrawn and cancelled leaves as many for others as before, now and later."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    assert granted(budget, 9) == 9
    clock.advance(5.0)
    assert granted(budget, 1) == 1

    clock.advance(3.0)
    budget.refund(age=3.0)

    assert granted(budget, 20) == 1
    clock.advance(2.0)
    assert granted(budget, 20) == 9


def test_a_refund_need_not_know_its_age() -> None:
    """Without an age the latest repeat is refunded."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    assert granted(budget, 20) == 10
    clock.advance(1.5)

    budget.refund()

    assert granted(budget, 20) == 1


def test_a_refund_that_comes_too_late_gives_nothing() -> None:
    """Repeats that hang until their callers give up cannot be cashed in for more after they left the window."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    assert granted(budget, 1) == 1
    clock.advance(11.0)
    assert granted(budget, 20) == 10

    budget.refund(age=11.0)

    assert budget.available == 0


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 60), st.integers(0, 9)), max_size=60))
def test_no_history_gets_more_than_its_share(bursts: list[tuple[float, int, int]]) -> None:
    """After every allowed repeat the window holds at most 10 % of its calls, or ten."""
    clock = FakeClock()
    budget = RetryBudget(clock)
    calls: list[float] = []
    repeats: list[float] = []

    def in_window(moments: list[float]) -> int:
        return sum(math.floor(at) > math.floor(clock.monotonic()) - 10 for at in moments)

    for gap, firsts, wanted in bursts:
        clock.advance(gap)
        for _ in range(firsts):
            budget.deposit()
            calls.append(clock.monotonic())
        for _ in range(wanted):
            fits = in_window(repeats) + 1 <= max(10, 0.1 * in_window(calls))
            assert granted(budget, 1) == fits
            repeats += [clock.monotonic()] * fits
