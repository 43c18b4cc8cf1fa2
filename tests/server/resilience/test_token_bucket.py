"""The token bucket: never more than its share, never much less."""

import math
import os
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.clock import FakeClock
from penstockd.resilience.token_bucket import Level, TokenBucket

SOAK = os.environ.get("PENSTOCK_SOAK") == "1"

rates = st.floats(0.01, 1000.0)
bursts = st.integers(1, 100)


def test_a_burst_passes_and_then_the_rate() -> None:
    """Ten pass at once, the eleventh is told the exact delay, and a refusal debits nothing."""
    clock = FakeClock()
    bucket = TokenBucket(rate=2.0, burst=10.0, clock=clock)

    assert [bucket.take() for _ in range(10)] == [0.0] * 10
    assert [bucket.take(), bucket.take(), bucket.take(3.0)] == pytest.approx([0.5, 0.5, 1.5])

    clock.advance(0.5)
    assert bucket.take() == 0.0
    assert bucket.take() == pytest.approx(0.5)


def test_more_than_the_burst_never_fits() -> None:
    """An amount over the burst waits for ever, and costs nothing."""
    bucket = TokenBucket(rate=1.0, burst=5.0, clock=FakeClock())

    assert bucket.take(5.5) == math.inf
    assert bucket.wait(5.5) == math.inf

    assert bucket.remaining == 5.0


def test_looking_debits_nothing() -> None:
    """`wait` tells what `take` would, again and again."""
    bucket = TokenBucket(rate=1.0, burst=5.0, clock=FakeClock())

    assert [bucket.wait(4.0), bucket.wait(4.0)] == [0.0, 0.0]
    assert bucket.take(4.0) == 0.0
    assert bucket.wait(4.0) == pytest.approx(3.0)
    assert repr(bucket) == "<TokenBucket 1/5, 1/s>"


def test_what_is_given_back_can_be_taken_again_but_not_hoarded() -> None:
    """Giving back undoes a debit; a bucket never holds more than its burst."""
    clock = FakeClock()
    bucket = TokenBucket(rate=1.0, burst=5.0, clock=clock)
    bucket.take(5.0)
    short_since = bucket.level.short_since

    bucket.give_back(2.0, short_since)
    assert bucket.remaining == pytest.approx(2.0)

    clock.advance(60.0)
    bucket.give_back(5.0, short_since)
    assert bucket.remaining == 5.0
    assert bucket.take(5.0) == 0.0
    assert bucket.take() == pytest.approx(1.0)


def test_a_level_is_a_bucket_for_who_knows_its_rate_and_the_time() -> None:
    """As those who keep many of them do."""
    level = Level()

    assert level.wait(now=100.0, amount=3.0, rate=1.0, burst=4.0) == 0.0
    level.debit(now=100.0, amount=3.0, rate=1.0)

    assert level == Level(full_at=103.0, short_since=100.0)
    assert level.left(now=101.0, rate=1.0, burst=4.0) == 2.0
    assert level.wait(now=100.0, amount=3.0, rate=1.0, burst=4.0) == 2.0
    assert level.wait(now=100.0, amount=5.0, rate=1.0, burst=4.0) == math.inf


@pytest.mark.parametrize("lasts", [1.0, 30.0, 70.0, 120.0])
def test_long_calls_that_hold_too_much_cost_what_they_use(lasts: float) -> None:
    """However long they last: 200,000 tokens a minute are 33 calls of 6,000 a minute, held at 34,000 each."""
    clock = FakeClock()
    bucket = TokenBucket(200_000 / 60, 200_000, clock)
    running: deque[tuple[float, float]] = deque()
    ended = 0

    for _ in range(4 * 3600):
        clock.advance(0.25)
        while running and running[0][0] <= clock.monotonic():
            bucket.give_back(28_000, running.popleft()[1])
            ended += 1
        while bucket.take(34_000) == 0.0:
            running.append((clock.monotonic() + lasts, bucket.level.short_since))

    assert ended > 0.7 * 33.3 * (3600 - lasts) / 60


@settings(max_examples=500 if SOAK else 50)
@pytest.mark.soak
@pytest.mark.timeout(900 if SOAK else 60)
@given(
    steps=st.lists(
        st.tuples(st.floats(0.0, 8.0), st.floats(0.1, 5.0), st.floats(0.0, 1.0), st.integers(0, 12)),
        min_size=1,
        max_size=60,
    )
)
def test_what_is_used_since_a_bucket_was_full_is_its_burst_and_what_came_in(
    steps: list[tuple[float, float, float, int]],
) -> None:
    """Whatever is held for how long, and however little of it is used in the end."""
    clock = FakeClock()
    bucket = TokenBucket(1.0, 5.0, clock)
    holds: list[tuple[int, float, float, float]] = []
    used: dict[float, float] = {}

    for number, (gap, amount, share, lasts) in enumerate(steps):
        clock.advance(gap)
        for hold in [hold for hold in holds if hold[0] <= number]:
            holds.remove(hold)
            _, unused, short_since, taken = hold
            bucket.give_back(unused, short_since)
            used[short_since] = used.get(short_since, 0.0) + taken
        if bucket.take(amount) == 0.0:
            short_since = bucket.level.short_since
            holds.append((number + lasts, amount * share, short_since, amount * (1 - share)))
            spent = used.get(short_since, 0.0) + sum(taken for _, _, since, taken in holds if since == short_since)
            assert spent <= 5.0 + (clock.monotonic() - short_since) + 1e-5


@settings(max_examples=2000 if SOAK else 50)
@pytest.mark.soak
@pytest.mark.timeout(900 if SOAK else 60)
@given(
    rate=rates,
    burst=bursts,
    arrivals=st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.1, 5.0)), min_size=1, max_size=60),
)
def test_no_window_admits_more_than_its_burst_and_rate(
    rate: float, burst: int, arrivals: list[tuple[float, float]]
) -> None:
    """However calls arrive and whatever they weigh, what any window admits is ≤ burst + rate × window."""
    clock = FakeClock()
    bucket = TokenBucket(rate, burst, clock)
    admitted: list[tuple[float, float]] = []

    for gap, amount in arrivals:
        clock.advance(gap / rate)
        if bucket.take(amount) == 0.0:
            admitted.append((clock.monotonic(), amount))

    for first, (start, _) in enumerate(admitted):
        total = 0.0
        for end, amount in admitted[first:]:
            total += amount
            assert total <= burst + rate * (end - start + 2e-6) + 1e-6


@settings(max_examples=500 if SOAK else 20)
@pytest.mark.soak
@pytest.mark.timeout(900 if SOAK else 60)
@given(
    rate=rates,
    burst=st.integers(2, 50),
    gaps=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=30),
    at=st.floats(0, 1e6),
)
def test_a_busy_bucket_gives_all_it_has(rate: float, burst: int, gaps: list[float], at: float) -> None:
    """Under more calls than it admits, at least 99 % of burst + rate × time pass."""
    clock = FakeClock(now=at)
    bucket = TokenBucket(rate, burst, clock)
    passed = 0

    for number in range(2000):
        clock.advance((gaps[number % len(gaps)] or 0.25) / rate)
        passed += bucket.take() == 0.0

    fair = min(2000.0, burst + rate * (clock.monotonic() - at))
    assert passed >= 0.99 * (fair - 1.0)


@given(rate=rates, burst=bursts, amount=st.floats(0.1, 100.0), start=st.floats(0.0, 1e7))
def test_who_waits_exactly_as_long_as_told_gets_it(rate: float, burst: int, amount: float, start: float) -> None:
    """The delay is exact: one that fits at all fits then."""
    clock = FakeClock(now=start)
    bucket = TokenBucket(rate, burst, clock)
    bucket.take(burst)

    delay = bucket.take(amount)

    assert (delay == math.inf) == (amount > burst)
    if delay < math.inf:
        clock.advance(delay)
        assert bucket.take(amount) == 0.0
