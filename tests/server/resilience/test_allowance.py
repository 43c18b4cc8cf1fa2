"""What a provider grants is taken whole or not at all."""

import math

import pytest

from fakes.clock import FakeClock
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.token_bucket import TokenBucket


@pytest.fixture
def clock() -> FakeClock:
    """The buckets' clock."""
    return FakeClock()


def test_without_limits_everything_is_granted() -> None:
    """None is no limit."""
    allowance = Allowance()

    assert allowance.wait(1e12) == 0.0
    grant = allowance.take(1e12)
    assert grant
    allowance.settle(grant, used=0)
    allowance.give_back_request(grant)


@pytest.mark.parametrize(("requests", "tokens"), [(1, 1000), (1000, 100)])
def test_a_refusal_takes_of_neither(clock: FakeClock, requests: int, tokens: int) -> None:
    """Either bucket refuses for both."""
    allowance = Allowance(requests=TokenBucket(1.0, requests, clock), tokens=TokenBucket(1.0, tokens, clock))
    assert allowance.take(100)

    assert not allowance.take(100)

    assert allowance.requests
    assert allowance.tokens
    assert allowance.requests.remaining == pytest.approx(requests - 1)
    assert allowance.tokens.remaining == pytest.approx(tokens - 100)


def test_the_longer_wait_counts(clock: FakeClock) -> None:
    """Both must fit."""
    allowance = Allowance(requests=TokenBucket(1.0, 1, clock), tokens=TokenBucket(10.0, 100, clock))
    assert allowance.take(100)

    assert allowance.wait(50) == pytest.approx(5.0)
    assert allowance.wait(1) == pytest.approx(1.0)
    assert allowance.wait(101) == float("inf")


def test_what_was_not_used_comes_back(clock: FakeClock) -> None:
    """The estimate was too high."""
    allowance = Allowance(tokens=TokenBucket(1.0, 100, clock))
    grant = allowance.take(100)
    assert grant

    allowance.settle(grant, used=30)

    assert allowance.wait(70) == 0.0
    assert allowance.wait(71) > 0.0


def test_what_time_has_undone_comes_back_no_second_time(clock: FakeClock) -> None:
    """Else a call that took long would let the others have more than the provider grants."""
    requests, tokens = TokenBucket(0.1, 1, clock), TokenBucket(10.0, 100, clock)
    allowance = Allowance(requests=requests, tokens=tokens)
    slow = allowance.take(100)
    assert slow
    clock.advance(10.0)
    assert allowance.take(100)

    allowance.settle(slow, used=0)
    allowance.give_back_request(slow)

    assert (requests.remaining, tokens.remaining) == (0.0, 0.0)


def test_what_was_not_used_comes_back_while_the_bucket_was_never_full(clock: FakeClock) -> None:
    """Although others have taken what came in meanwhile."""
    requests, tokens = TokenBucket(0.1, 1, clock), TokenBucket(10.0, 100, clock)
    allowance = Allowance(requests=requests, tokens=tokens)
    grant = allowance.take(100)
    assert grant
    clock.advance(5.0)
    assert tokens.take(50) == 0.0

    allowance.settle(grant, used=20)
    allowance.give_back_request(grant)

    assert (requests.remaining, tokens.remaining) == pytest.approx((1.0, 80.0))


def test_what_was_used_beyond_the_estimate_is_past(clock: FakeClock) -> None:
    """The bucket does not go further down: the provider has granted it."""
    allowance = Allowance(tokens=TokenBucket(1.0, 100, clock))
    grant = allowance.take(50)
    assert grant

    allowance.settle(grant, used=80)

    assert allowance.wait(50) == 0.0


def test_what_never_fits_is_known(clock: FakeClock) -> None:
    """However full the bucket is just now."""
    bounded = Allowance(tokens=TokenBucket(1.0, 100, clock))
    bounded.take(60)

    assert (bounded.most_tokens, Allowance().most_tokens) == (100, math.inf)
    assert bounded.wait(100) < math.inf == bounded.wait(101)
