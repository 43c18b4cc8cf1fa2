"""Code that somebody else wrote ends when it is told to, or is left behind."""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable

import pytest

from fakes import virtual_time
from fakes.virtual_time import VirtualClock
from penstockd import foreign_tasks
from penstockd.foreign_tasks import TIME_TO_END, ForeignTasks


async def ends() -> None:
    """End as it is told to."""
    await asyncio.sleep(1000.0)


async def swallows() -> None:
    """End as if nothing had been."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(1000.0)


async def goes_on() -> None:
    """Go on as if nothing had been."""
    await swallows()
    await asyncio.sleep(1000.0)


@pytest.mark.parametrize(("work", "takes"), [(ends, 0.0), (swallows, 0.0), (goes_on, TIME_TO_END)])
def test_nobody_waits_for_what_does_not_end(work: Callable[[], Awaitable[None]], takes: float) -> None:
    """Longer than the second that it has."""
    clock, tasks = VirtualClock(), ForeignTasks()

    async def run() -> None:
        await work()

    async def main() -> bool:
        task = tasks.start(run())
        await asyncio.sleep(0)
        await tasks.end(task)
        return task.done()

    assert virtual_time.run(clock, main()) is (takes == 0.0)
    assert clock.monotonic() - 1000.0 == pytest.approx(takes)


def test_only_so_many_go_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that end when they are told to do not count, nor those that have ended since."""
    monkeypatch.setattr(foreign_tasks, "MOST_LEFT", 2)
    clock, tasks = VirtualClock(), ForeignTasks()

    async def run(work: Callable[[], Awaitable[None]]) -> None:
        await work()

    async def main() -> list[bool]:
        seen = []
        for work in (ends, ends, goes_on, goes_on):
            task = tasks.start(run(work))
            await asyncio.sleep(0)
            await tasks.end(task)
            seen.append(tasks.are_too_many)
        await asyncio.sleep(1000.0)
        return [*seen, tasks.are_too_many]

    assert virtual_time.run(clock, main()) == [False, False, False, True, False]


async def test_what_has_ended_is_not_waited_for() -> None:
    """Its result stays."""
    tasks = ForeignTasks()

    async def work() -> int:
        return 7

    task = tasks.start(work())
    await task
    await tasks.end(task)

    assert task.result() == 7


async def test_what_nobody_else_holds_goes_on() -> None:
    """A loop holds its tasks weakly: what waits for something that it alone knows would be gone."""
    tasks, ended = ForeignTasks(), []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    tasks.start(work())
    await asyncio.sleep(0)
    gc.collect()

    assert ended == []
    (task,) = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    await tasks.end(task)
    assert ended == [True]
