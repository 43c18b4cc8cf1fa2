"""What keeps going in the background."""

import asyncio

import pytest

from fakes.clock import FakeClock
from penstockd.logs.log import Log
from penstockd.upkeep import PAUSE, Upkeep


async def test_work_that_fails_is_told_of_and_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise what it looks after would grow until the process dies."""
    clock = FakeClock()
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise ZeroDivisionError
        await asyncio.Event().wait()

    task = Upkeep(log=Log("test"), clock=clock).start(work)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.advance(PAUSE)
    for _ in range(5):
        await asyncio.sleep(0)

    assert begun == 2
    assert [record.message for record in caplog.records] == ["upkeep failed and begins again"]
    task.cancel()
