"""An upstream that goes up and down is used while it is up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from fakes.stage import Stage, model, stage, well
from fakes.upstream import RESET, Upstream

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CYCLES = 6
UP = DOWN = 5.0
PER_SECOND = 40
QUICK = {"consecutive_failures": 3, "open_for": "250ms", "max_open_for": "250ms"}


@pytest_asyncio.fixture
async def daemon(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Stage]:
    """A daemon that has nothing else to ask."""
    models = {"only": model(upstream.url)}
    async with stage(tmp_path, models, {"default": ["only"]}, circuit_breaker=QUICK) as served:
        yield served


async def test_nine_tenths_of_the_calls_of_its_up_time_are_answered(daemon: Stage, upstream: Upstream) -> None:
    """What is lost is the time until the next probe, and calls that were refused while it was down."""
    answered = asked = 0
    for is_up in [True, False] * CYCLES:
        if is_up:
            upstream.respond(well)
        else:
            upstream.answer_always(RESET)
        endings = await steadily(daemon, UP if is_up else DOWN)
        if is_up:
            asked += len(endings)
            answered += endings.count("")

    assert asked == CYCLES * UP * PER_SECOND
    assert answered >= 0.9 * asked


async def steadily(daemon: Stage, seconds: float) -> list[str]:
    """Call at a steady rate and return how each ended."""
    asking = []
    for _ in range(int(seconds * PER_SECOND)):
        asking.append(asyncio.create_task(daemon.ask("default", timeout=2.0)))
        await asyncio.sleep(1 / PER_SECOND)
    return [seen.ending for seen in await asyncio.gather(*asking)]
