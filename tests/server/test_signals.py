"""What SIGHUP, SIGTERM and SIGINT set off, with real signals."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from penstockd.signals import Signals


@pytest.fixture(autouse=True)
def dispositions() -> Iterator[None]:
    """What this process does at a signal is as it was, afterwards."""
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def send(number: signal.Signals) -> None:
    """Send this process a signal, and let the loop see it."""
    os.kill(os.getpid(), number)
    await asyncio.sleep(0.05)


async def test_a_reload_that_was_asked_for_early_is_not_forgotten() -> None:
    """Who waits for it later finds that it was."""
    signals = Signals()

    await send(signal.SIGHUP)

    assert signals.reload_asked.is_set()
    signals.ignore()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_each_stop_is_told_to_all_who_listen(number: signal.Signals) -> None:
    """The second one as well: it means hurry."""
    signals, told = Signals(), []
    signals.on_stop(lambda: told.append("daemon"))
    signals.on_stop(lambda: told.append("reload"))
    signals.take_stops()

    await send(number)
    await send(number)

    assert told == ["daemon", "reload", "daemon", "reload"]
    signals.ignore()


async def test_who_listens_late_is_told_what_came_before() -> None:
    """A stop while the daemon starts must reach what is started after it."""
    signals, told = Signals(), []
    signals.take_stops()

    await send(signal.SIGTERM)
    await send(signal.SIGINT)
    signals.on_stop(lambda: told.append("late"))

    assert told == ["late", "late"]
    signals.ignore()


async def test_once_ignored_none_does_anything() -> None:
    """Not even end the process."""
    signals, told = Signals(), []
    signals.on_stop(lambda: told.append("stop"))
    signals.take_stops()

    signals.ignore()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        await send(number)

    assert not told
    assert not signals.reload_asked.is_set()
