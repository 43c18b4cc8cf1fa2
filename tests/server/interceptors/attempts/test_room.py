"""Waiting for a place: first come, first served, and no permit is ever lost."""

import asyncio

import pytest

from fakes import virtual_time
from fakes.scripted_model import ScriptedModel
from fakes.virtual_time import VirtualClock
from penstockd.interceptors.attempts.room import Places
from penstockd.model import Model
from penstockd.resilience.permits import Permits


def full(clock: VirtualClock, name: str = "a", places: int = 1) -> Model:
    """A model all of whose permits are out."""
    model = ScriptedModel(name, clock=clock, max_in_flight=places).model
    while model.permits.take():
        pass
    return model


async def first_room(models: list[Model], seconds: float) -> Model | None:
    """The first of `models` to have room within `seconds`, its permit taken, or None."""
    with Places() as places:
        for model in models:
            places.enter(model)
        if (model_now := places.take()) is not None or not places.are_waiting:
            return model_now
        await places.wait(seconds)
        return places.take()


def test_waiters_are_served_in_the_order_they_came() -> None:
    """A release goes to the one who waits longest."""
    clock = VirtualClock()
    model = full(clock)
    served: list[int] = []

    async def wait(number: int) -> None:
        assert await first_room([model], 100.0) is model
        served.append(number)
        await clock.sleep(1.0)
        model.permits.release()

    async def main() -> None:
        waiters = [asyncio.ensure_future(wait(number)) for number in range(5)]
        await clock.sleep(1.0)
        model.permits.release()
        await asyncio.gather(*waiters)

    virtual_time.run(clock, main())

    assert served == [0, 1, 2, 3, 4]
    assert model.permits.in_flight == 0


def test_who_waits_too_long_gets_none() -> None:
    """The place in the queue is left, and a later release stays free."""
    clock = VirtualClock()
    model = full(clock)

    found = virtual_time.run(clock, first_room([model], 2.0))
    model.permits.release()

    assert found is None
    assert clock.monotonic() == pytest.approx(1002.0)
    assert (model.permits.in_flight, model.permits.waiting) == (0, 0)


def test_of_two_grants_one_is_kept() -> None:
    """Where both models come free in the same moment, the second permit goes back."""
    clock = VirtualClock()
    a, b = full(clock, "a"), full(clock, "b")

    async def main() -> Model | None:
        waiting = asyncio.ensure_future(first_room([a, b], 10.0))
        await asyncio.sleep(0)
        b.permits.release()
        a.permits.release()
        return await waiting

    assert virtual_time.run(clock, main()) is b
    assert (a.permits.in_flight, b.permits.in_flight) == (0, 1)


def test_room_that_is_there_is_taken_at_once() -> None:
    """A model that came free between the look and the wait is no wait."""
    clock = VirtualClock()
    a, b = full(clock, "a"), ScriptedModel("b", clock=clock).model

    assert virtual_time.run(clock, first_room([b, a], 10.0)) is b
    assert clock.monotonic() == 1000.0
    assert (b.permits.in_flight, a.permits.waiting) == (1, 0)


def test_a_place_is_kept_from_one_wait_to_the_next() -> None:
    """Who looks up in between is still before those who came later."""
    clock = VirtualClock()
    model = full(clock)

    async def main() -> Model | None:
        with Places() as places:
            places.enter(model)
            await places.wait(1.0)
            later = asyncio.ensure_future(first_room([model], 10.0))
            await places.wait(1.0)
            model.permits.release()
            found = places.take()
            later.cancel()
            return found

    assert virtual_time.run(clock, main()) is model
    assert (model.permits.in_flight, model.permits.waiting) == (1, 0)


def test_a_grant_that_is_not_taken_is_no_wait_twice() -> None:
    """Each wait is for the next permit, and where no place is left there is none to come."""
    clock = VirtualClock()
    a, b = full(clock, "a"), full(clock, "b")

    async def main() -> None:
        with Places() as places:
            places.enter(a)
            places.enter(b)
            a.permits.release()
            await places.wait(1.0)
            assert (clock.monotonic(), places.take(), places.are_waiting) == (1000.0, a, True)
            await places.wait(1.0)
            assert (clock.monotonic(), places.take()) == (1001.0, None)
            b.permits.release()
            assert not places.are_waiting

    virtual_time.run(clock, main())

    assert (a.permits.in_flight, b.permits.in_flight) == (1, 0)


def test_a_cancelled_waiter_hands_its_permit_to_the_next() -> None:
    """Granted and cancelled in one moment, the permit is not lost."""
    clock = VirtualClock()
    model = full(clock)

    async def main() -> Model | None:
        leaver = asyncio.ensure_future(first_room([model], 10.0))
        stayer = asyncio.ensure_future(first_room([model], 10.0))
        await asyncio.sleep(0)
        model.permits.release()
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        return await stayer

    assert virtual_time.run(clock, main()) is model
    assert model.permits.in_flight == 1


def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """Who is gone holds nobody up."""
    clock = VirtualClock()
    model = full(clock)

    async def main() -> None:
        leaver = asyncio.ensure_future(first_room([model], 10.0))
        await asyncio.sleep(0)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver

    virtual_time.run(clock, main())

    assert model.permits.waiting == 0
    assert model.permits.in_flight == 1


def test_a_full_queue_is_not_waited_in() -> None:
    """Where there is no place in any queue there is nothing to wait for."""
    clock = VirtualClock()
    model = full(clock)
    while model.permits.enqueue(never) is not None:
        pass

    assert virtual_time.run(clock, first_room([model], 10.0)) is None
    assert clock.monotonic() == 1000.0


def test_no_models_are_no_room() -> None:
    """An empty list is answered at once."""
    clock = VirtualClock()

    assert virtual_time.run(clock, first_room([], 10.0)) is None


def never() -> None:
    """Be granted nothing."""


def test_a_permit_is_granted_once() -> None:
    """A queue of waiters for one permit shares it, never doubles it."""
    clock = VirtualClock()
    model = full(clock)
    assert isinstance(model.permits, Permits)
    at_once: list[int] = []

    async def use() -> None:
        assert await first_room([model], 100.0) is model
        at_once.append(model.permits.in_flight)
        await clock.sleep(0.1)
        model.permits.release()

    async def main() -> None:
        users = [asyncio.ensure_future(use()) for _ in range(20)]
        await asyncio.sleep(0)
        model.permits.release()
        await asyncio.gather(*users)

    virtual_time.run(clock, main())

    assert at_once == [1] * 20
