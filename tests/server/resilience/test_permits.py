"""Permits and the queue for them."""

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstockd.resilience.permits import Permits, Place

SOAK = os.environ.get("PENSTOCK_SOAK") == "1"


def test_no_more_than_the_limit_are_out() -> None:
    """The third permit of two is refused until one comes back."""
    permits = Permits(2)

    assert [permits.take() for _ in range(3)] == [True, True, False]
    permits.release()

    assert permits.take()
    assert repr(permits) == "<Permits 2/2, 0 waiting>"


def test_a_release_goes_to_the_first_who_waits() -> None:
    """Permits are handed over in the order of arrival, and nobody who comes later overtakes."""
    permits = Permits(1)
    permits.take()
    granted: list[str] = []
    permits.enqueue(lambda: granted.append("first"))
    permits.enqueue(lambda: granted.append("second"))

    permits.release()

    assert granted == ["first"]
    assert permits.in_flight == 1
    assert not permits.take()
    permits.release()
    assert granted == ["first", "second"]


def test_who_leaves_the_queue_gets_nothing() -> None:
    """A place that was left is passed over; one that was granted before keeps its permit out."""
    permits = Permits(1)
    permits.take()
    granted: list[str] = []
    leaver = permits.enqueue(lambda: granted.append("leaver"))
    stayer = permits.enqueue(lambda: granted.append("stayer"))
    assert leaver
    assert stayer

    leaver.leave()
    permits.release()

    assert granted == ["stayer"]
    stayer.leave()
    assert permits.in_flight == 1


def test_the_queue_is_bounded() -> None:
    """One waiter too many is turned away at once, without harm to those who wait."""
    permits = Permits(0, max_waiting=2)

    places = [permits.enqueue(lambda: None) for _ in range(3)]

    assert [place is not None for place in places] == [True, True, False]
    assert permits.waiting == 2


def test_a_raised_limit_grants_at_once() -> None:
    """The limit moves live: up lets waiters in, down lets those in flight end and nobody in until they did."""
    permits = Permits(0)
    granted: list[int] = []
    for number in range(3):
        permits.enqueue(lambda number=number: granted.append(number))  # type: ignore[misc]

    permits.limit = 2
    assert granted == [0, 1]

    permits.limit = 1
    permits.release()
    assert granted == [0, 1]
    permits.release()
    assert granted == [0, 1, 2]


def test_nobody_overtakes_from_within_a_grant() -> None:
    """While a raised limit is handed out, a take leaves the rest to those who wait."""
    permits = Permits(0)
    taken: list[bool] = []
    permits.enqueue(lambda: taken.append(permits.take()))
    permits.enqueue(lambda: None)

    permits.limit = 2

    assert taken == [False]
    assert permits.waiting == 0


def test_a_waiter_that_comes_while_one_is_free_does_not_wait() -> None:
    """A permit that came back between a refusal and the queueing is not lost."""
    permits = Permits(1)
    granted: list[bool] = []

    permits.enqueue(lambda: granted.append(True))

    assert granted == [True]
    assert permits.in_flight == 1


def test_a_release_too_many_is_an_error() -> None:
    """A permit that nobody took cannot come back and raise the limit in secret."""
    with pytest.raises(RuntimeError):
        Permits(1).release()


class PermitsBesideAList(RuleBasedStateMachine):
    """Any order of takes, waits, leaves, releases and new limits."""

    @initialize(limit=st.integers(0, 3))
    def start(self, limit: int) -> None:
        self.permits = Permits(limit, max_waiting=5)
        self.out = 0
        self.queue: list[int] = []
        self.places: dict[int, Place] = {}
        self.number = 0

    def grant(self, number: int) -> None:
        assert self.queue.pop(0) == number
        self.out += 1

    @rule()
    def take(self) -> None:
        is_free = not self.queue and self.out < self.permits.limit
        assert self.permits.take() == is_free
        self.out += is_free

    @rule()
    def wait(self) -> None:
        number, is_full = self.number, len(self.queue) == 5
        self.number += 1
        if not is_full:
            self.queue.append(number)
        place = self.permits.enqueue(lambda: self.grant(number))
        assert (place is None) == is_full
        if place:
            self.places[number] = place

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.places)))
        self.places.pop(number).leave()
        if number in self.queue:
            self.queue.remove(number)

    @precondition(lambda self: self.out)
    @rule()
    def release(self) -> None:
        self.out -= 1
        self.permits.release()

    @rule(limit=st.integers(0, 4))
    def move_the_limit(self, limit: int) -> None:
        self.permits.limit = limit

    @invariant()
    def none_is_lost_or_kept_back(self) -> None:
        assert self.permits.in_flight == self.out
        assert self.permits.waiting == len(self.queue)
        assert not self.queue or self.out >= self.permits.limit


PermitsBesideAList.TestCase.settings = settings(max_examples=2500 if SOAK else 60, stateful_step_count=50)


@pytest.mark.soak
@pytest.mark.timeout(900 if SOAK else 60)
class TestPermitsDoAsTheirList(PermitsBesideAList.TestCase):  # type: ignore[misc, valid-type]
    """Random histories, more of them with PENSTOCK_SOAK=1."""
