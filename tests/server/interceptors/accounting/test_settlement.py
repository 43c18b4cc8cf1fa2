"""Settling ends whatever becomes of the call."""

import asyncio
import logging

import pytest

from penstockd.interceptors.accounting.settlement import Settlements
from penstockd.logs.log import Log


class Work:
    """Something to settle that waits to be let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.go, self.is_done = asyncio.Event(), asyncio.Event(), False
        self._error = error

    async def do(self) -> int:
        """Wait, and be done."""
        self.begun.set()
        await self.go.wait()
        self.is_done = True
        if self._error:
            raise self._error
        return 7


async def test_what_the_work_returns_or_raises_comes_to_who_waits() -> None:
    """As if it had been awaited."""
    settlements, fine, broken = Settlements(Log("test")), Work(), Work(ValueError("broken"))
    fine.go.set()
    broken.go.set()

    assert await settlements.run(fine.do()) == 7
    with pytest.raises(ValueError, match="broken"):
        await settlements.run(broken.do())
    await settlements.idle()
    assert repr(settlements) == "<Settlements 0 running>"


async def test_a_cancelled_caller_leaves_and_the_work_goes_on() -> None:
    """`idle` returns when that is done too."""
    settlements, work = Settlements(Log("test")), Work()
    caller = asyncio.ensure_future(settlements.run(work.do()))
    await work.begun.wait()

    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    idle = asyncio.ensure_future(settlements.idle())
    await asyncio.sleep(0)
    assert (work.is_done, idle.done(), repr(settlements)) == (False, False, "<Settlements 1 running>")

    work.go.set()
    await idle
    assert work.is_done


async def test_a_caller_that_is_on_its_way_out_settles_to_the_end() -> None:
    """A cancel that has arrived before does not reach into what the `finally` awaits."""
    settlements, work = Settlements(Log("test")), Work()

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await settlements.run(work.do())

    caller = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    caller.cancel()
    await work.begun.wait()
    work.go.set()

    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.is_done


async def test_a_failure_that_nobody_waits_for_is_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It would be lost money."""
    settlements, work = Settlements(Log("test")), Work(ValueError("broken"))
    caller = asyncio.ensure_future(settlements.run(work.do()))
    await work.begun.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)

    with caplog.at_level(logging.ERROR):
        work.go.set()
        await settlements.idle()
        await asyncio.sleep(0)

    assert [record.message for record in caplog.records] == ["a call could not be settled"]
