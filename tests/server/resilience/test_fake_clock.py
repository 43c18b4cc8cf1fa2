"""The clock that the other tests trust."""

import asyncio

from fakes.clock import FakeClock
from fakes.loop import settled


async def test_sleeps_wake_in_the_order_of_their_ends() -> None:
    """Two sleeps that end in one advance wake by their ends, not by their starts."""
    clock = FakeClock()
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (3.0, 1.0, 2.0, 9.0):
            group.create_task(sleeper(seconds))
        await settled()
        clock.advance(3.0)
        await settled()

        assert woken == [1.0, 2.0, 3.0]
        assert clock.sleeping == 1
        assert clock.monotonic() == 1003.0
        clock.advance(6.0)


async def test_a_cancelled_sleep_is_forgotten() -> None:
    """Cancelling a sleep ends it, and advancing past its end harms nobody."""
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1.0))
    await settled()

    task.cancel()
    await settled()
    clock.advance(2.0)

    assert task.cancelled()
    assert clock.sleeping == 0


async def test_a_sleep_of_nothing_returns_while_time_stands_still() -> None:
    """A sleep of 0 s gives others a turn and comes back without an advance; both times move together."""
    clock = FakeClock(now=5.0)
    before = clock.wall()

    await clock.sleep(0.0)
    clock.advance(2.5)

    assert clock.monotonic() == 7.5
    assert clock.wall() - before == 2.5
    assert repr(clock) == "<FakeClock 7.500 s, 0 asleep>"
