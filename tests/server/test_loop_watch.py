"""What holds up the event loop is told while it does."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fakes.clock import FakeClock
from penstockd import loop_watch
from penstockd.logs.log import Log
from penstockd.loop_watch import INNERMOST, LOOK_EVERY, LoopWatch

HELD_UP = "the event loop is held up"


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[LoopWatch, FakeClock]]:
    """A loop that gives signs as its clock goes on."""
    clock = FakeClock()
    watch = LoopWatch(clock=clock, log=Log("test"))
    watching = asyncio.create_task(watch.watch())
    await asyncio.sleep(0)
    yield watch, clock
    watching.cancel()
    await asyncio.wait([watching])


def held_up(caplog: pytest.LogCaptureFixture) -> list[list[str]]:
    """By what, each time that it was told."""
    return [record.__dict__["fields"]["by"] for record in caplog.records if record.msg == HELD_UP]


def blocks_until_told(caplog: pytest.LogCaptureFixture, depth: int = 0) -> None:
    """Do what no agent should, some calls deep."""
    if depth:
        blocks_until_told(caplog, depth - 1)
        return
    gives_up_at = time.monotonic() + 20.0
    while not held_up(caplog) and time.monotonic() < gives_up_at:
        time.sleep(0.01)


async def test_what_blocks_is_named_while_it_does(caplog: pytest.LogCaptureFixture) -> None:
    """The innermost calls of the loop's thread, and not more of them than help."""
    async with watched():
        blocks_until_told(caplog, depth=2 * INNERMOST)

    [calls] = held_up(caplog)
    assert len(calls) == INNERMOST
    assert all(call.startswith(f"{__file__}:") and call.endswith(" blocks_until_told") for call in calls[1:])


async def test_a_stall_is_told_once_and_the_next_one_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before it has missed two looks: a process that stood still as a whole is no stall of its loop's."""
    monkeypatch.setattr(loop_watch, "LOOK_EVERY", 1e6)  # the thread never looks by itself
    told: list[int] = []

    async with watched() as (watch, clock):
        for stalls in (0, 1, 4, 2):
            clock.advance(LOOK_EVERY * 1e6)
            await asyncio.sleep(0)
            watch.look()
            for _ in range(stalls):
                watch.look()
            told.append(len(held_up(caplog)))

    assert told == [0, 0, 1, 2]


async def test_the_thread_ends_with_the_watch() -> None:
    """A daemon that has ended is watched by nobody."""
    before = set(threading.enumerate())
    async with watched():
        [thread] = set(threading.enumerate()) - before

    await asyncio.to_thread(thread.join, 20.0)

    assert not thread.is_alive()
