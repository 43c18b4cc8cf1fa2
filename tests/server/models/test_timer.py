"""A timer ends what it watches once, when its last limit has passed, and leaves every other cancellation alone."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import pytest

from fakes import virtual_time
from fakes.virtual_time import VirtualClock
from penstockd.models.timer import WIDTH, Timer, TimerWheel, TimeUp

Work = Callable[[Timer, float], Awaitable[None]]


async def watched(clock: VirtualClock, work: Work) -> None:
    """Do `work`, which is told when it starts, under a timer."""
    with Timer(clock, TimerWheel(clock)) as timer:
        await work(timer, clock.monotonic())


def how_it_ended(work: Work) -> tuple[object, object]:
    """Do `work` under a timer; return what it raised, and how many seconds it took."""

    async def run(clock: VirtualClock) -> tuple[type[BaseException] | None, float]:
        start = clock.monotonic()
        raised = None
        try:
            await watched(clock, work)
        except (TimeUp, ValueError) as error:
            raised = type(error)
        took = clock.monotonic() - start
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "no cancellation is left over"
        await asyncio.sleep(1000.0)
        return raised, took

    clock = VirtualClock()
    return virtual_time.run(clock, run(clock))


def moving(*limits: float) -> Work:
    """Set one limit a second, in seconds from the start, then work for long."""

    async def work(timer: Timer, start: float) -> None:
        for limit in limits:
            timer.move(start + limit)
            await asyncio.sleep(1.0)
        await asyncio.sleep(100.0 - len(limits))

    return work


@pytest.mark.parametrize(
    ("limits", "after"),
    [
        ((5.0,), 5.0),
        ((5.0, 9.0), 9.0),
        ((5.0, 9.0, 7.0, 8.0), 8.0),
        ((50.0, 5.0), 5.0),
        ((5.0, inf, 30.0), 30.0),
        ((inf, 3.0), 3.0),
        ((-1.0,), 0.0),
        # Within a second of the wheel that has begun.
        ((0.25,), 0.25),
        ((5.5,), 5.5),
        ((1.5, 1.75), 1.75),
        ((1.5, 1.25), 1.25),
        ((1.5, 7.25), 7.25),
    ],
)
def test_the_last_limit_counts(limits: tuple[float, ...], after: float) -> None:
    """Limits move later and earlier, away and back; only the last one ends anything."""
    assert how_it_ended(moving(*limits)) == (TimeUp, pytest.approx(after, abs=0.002))


@pytest.mark.parametrize("limits", [(), (inf,), (5.0, inf), (200.0,), (5.0, 200.0)])
def test_without_a_limit_that_passes_nothing_ends(limits: tuple[float, ...]) -> None:
    """What is in time is left alone, and so is what comes after it."""
    assert how_it_ended(moving(*limits)) == (None, pytest.approx(100.0))


def test_a_task_is_ended_once() -> None:
    """What is done in parting is not cut, though it moves the limit."""

    async def parting_slowly(timer: Timer, start: float) -> None:
        timer.move(start + 5.0)
        try:
            await asyncio.sleep(100.0)
        finally:
            timer.move(start + 6.0)
            await asyncio.sleep(10.0)

    assert how_it_ended(parting_slowly) == (TimeUp, pytest.approx(15.0))


def test_an_error_in_parting_passes() -> None:
    """What the task raises when it is ended is its own, and the cancellation is taken back all the same."""

    async def failing(timer: Timer, start: float) -> None:
        timer.move(start + 5.0)
        try:
            await asyncio.sleep(100.0)
        except asyncio.CancelledError as error:
            raise ValueError("mine") from error

    assert how_it_ended(failing) == (ValueError, pytest.approx(5.0))


def test_an_inner_timer_does_not_answer_for_an_outer_one() -> None:
    """Each ends what it watches."""

    async def nested(clock: VirtualClock) -> None:
        async def inside(timer: Timer, start: float) -> None:
            timer.move(start + 5.0)
            try:
                await watched(clock, moving(50.0))
            except TimeUp:
                pytest.fail("the inner one took it for its own")

        with pytest.raises(TimeUp):
            await watched(clock, inside)

    clock = VirtualClock()
    virtual_time.run(clock, nested(clock))


@pytest.mark.parametrize("after", [1.0, 5.0])
def test_a_cancellation_from_elsewhere_stays_one(after: float) -> None:
    """Whoever cancels the task gets CancelledError, even in the moment in which the limit passes."""

    async def cancelled(clock: VirtualClock) -> None:
        task = asyncio.ensure_future(watched(clock, moving(5.0)))
        asyncio.get_running_loop().call_later(after, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    clock = VirtualClock()
    virtual_time.run(clock, cancelled(clock))


def test_the_loop_is_asked_once_for_all_limits_of_a_second() -> None:
    """Who ends before that leaves nothing there."""

    async def run(clock: VirtualClock) -> tuple[list[float], list[int]]:
        wheel, loop = TimerWheel(clock), asyncio.get_running_loop()
        asked: list[float] = []
        call_later, start = loop.call_later, clock.monotonic()
        second = WIDTH * (int(start / WIDTH) + 10)

        def counted(delay: float, *callback: Any) -> asyncio.TimerHandle:  # noqa: ANN401 - as the loop has it
            asked.append(delay)
            return call_later(delay, *callback)

        loop.call_later = counted  # type: ignore[assignment,method-assign]
        sizes = []
        for number in range(100):
            with Timer(clock, wheel) as timer:
                timer.move(second + number * WIDTH / 101)
                sizes.append(len(wheel.slot(second) or ()))
        sizes.append(len(wheel.slot(second) or ()))
        return asked, sizes

    clock = VirtualClock()
    asked, sizes = virtual_time.run(clock, run(clock))
    assert len(asked) == 1
    assert sizes == [1] * 100 + [0]
