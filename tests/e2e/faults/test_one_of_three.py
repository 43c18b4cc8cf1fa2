"""A pool survives the loss of one of its models, and takes it back when it recovers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from fakes.stage import OPENS_SOON, Stage, model, stage, well
from fakes.upstream import RESET, Upstream
from penstock.v1.pool_service_pb2 import BREAKER_STATE_CLOSED, BREAKER_STATE_OPEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN_TIME = 0.5
PER_SECOND = 50


@pytest_asyncio.fixture(loop_scope="module", params=["priority", "weighted", "least_latency"])
async def daemon(
    request: pytest.FixtureRequest, sick: Upstream, healthy: Upstream, tmp_path: Path
) -> AsyncIterator[Stage]:
    """A daemon with one model at the sick upstream and two at the healthy one, under each strategy."""
    models = {"dead": model(sick.url), "second": model(healthy.url), "third": model(healthy.url)}
    route = {"default": list(models)}
    strategy = str(request.param)
    async with stage(tmp_path, models, route, strategy=strategy, circuit_breaker=OPENS_SOON) as served:
        yield served


async def test_no_call_fails_while_a_model_is_dead_and_it_is_back_soon_after(daemon: Stage, sick: Upstream) -> None:
    """Back in rotation within twice its open time, with nobody having been told of it."""
    sick.answer_always(RESET)
    calls = asyncio.create_task(steadily(daemon, seconds=2.2))
    await daemon.until("dead", lambda model: model.breaker_state == BREAKER_STATE_OPEN)
    await asyncio.sleep(OPEN_TIME * 1.5)

    loop = asyncio.get_running_loop()
    recovered_at = loop.time()
    sick.respond(well)
    await daemon.until("dead", lambda model: model.breaker_state == BREAKER_STATE_CLOSED)
    back_after = loop.time() - recovered_at
    endings = await calls

    assert len(endings) > PER_SECOND
    assert set(endings) == {""}
    assert back_after < 2 * OPEN_TIME


async def steadily(daemon: Stage, *, seconds: float) -> list[str]:
    """Call at a steady rate and return how each ended."""
    asking = []
    for at in range(int(seconds * PER_SECOND)):
        asking.append(asyncio.create_task(daemon.ask("default", streams=at % 2 == 0)))
        await asyncio.sleep(1 / PER_SECOND)
    return [seen.ending for seen in await asyncio.gather(*asking)]
