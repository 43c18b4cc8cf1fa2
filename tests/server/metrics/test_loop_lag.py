"""A loop that is held up is seen to be late."""

import asyncio

from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.metrics.loop_lag import EVERY, LoopLag


async def test_it_measures_how_late_it_wakes_up() -> None:
    """Again and again."""
    clock, telescope = FakeClock(), Telescope()
    watching = asyncio.create_task(LoopLag(telescope.instruments, clock=clock).watch())

    for late in (0.0, 0.5, 0.25):
        await asyncio.sleep(0)
        clock.advance(EVERY + late)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    watching.cancel()

    [histogram] = telescope.instruments.histograms
    series = histogram.of()
    assert (sum(series.counts), round(series.sum, 6), round(series.largest, 6)) == (3, 0.75, 0.5)
