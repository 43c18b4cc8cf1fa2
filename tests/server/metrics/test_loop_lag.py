"""A loop that is held up is seen to be late."""

import asyncio

from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.metrics.loop_lag import EVERY, LONGEST, LoopLag


async def test_it_measures_how_late_it_wakes_up() -> None:
    """Again and again; a stall counts for every look that it made late, so that percentiles know how long it was."""
    clock, telescope = FakeClock(), Telescope()
    watching = asyncio.create_task(LoopLag(telescope.instruments, clock=clock).watch())

    for late in (0.0, 0.45, 0.25):
        await asyncio.sleep(0)
        clock.advance(EVERY + late)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    watching.cancel()

    [histogram] = telescope.instruments.histograms
    series = histogram.of()
    assert (sum(series.counts), round(series.sum, 6), round(series.largest, 6)) == (1 + 5 + 3, 1.25 + 0.45, 0.45)


async def test_an_endless_stall_is_counted_in_no_time() -> None:
    """A process may be stopped for days."""
    clock, telescope = FakeClock(), Telescope()
    watching = asyncio.create_task(LoopLag(telescope.instruments, clock=clock).watch())

    await asyncio.sleep(0)
    clock.advance(1e9)
    await asyncio.sleep(0)
    watching.cancel()

    [histogram] = telescope.instruments.histograms
    series = histogram.of()
    assert series.largest == LONGEST
    assert sum(series.counts) <= LONGEST / EVERY + 1
