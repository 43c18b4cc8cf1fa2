"""More calls than the models can take: what is admitted finishes, the rest learns of it early, and health answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import grpc.aio
import pytest
import pytest_asyncio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from fakes.measure import measured, needs_a_quiet_machine
from fakes.stage import Seen, Stage, model, stage, well
from fakes.upstream import Upstream, Wait

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERMITS = 8
TAKES = 0.2
CAPACITY = PERMITS / TAKES
"""Calls a second: so few that callers and upstream, on the same machine, are far from their own limits."""
DEADLINE = 2.0
LONGEST_WAIT = DEADLINE / 4
"""Seconds that a call waits for room: a quarter of what it has."""
SPIKE = 5.0
GOOD = 0.9 * CAPACITY
SLACK = 0.5


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def daemon(healthy: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A daemon with one model, which answers after 200 ms and takes 8 calls at once."""
    healthy.respond(lambda request: (Wait(TAKES), *well(request)))
    models = {"narrow": model(healthy.url, max_in_flight=PERMITS)}
    directory = tmp_path_factory.mktemp("overload")
    async with stage(directory, models, {"default": ["narrow"]}) as served:
        yield served


async def offered(daemon: Stage, per_second: float) -> list[Seen]:
    """Call at a steady rate, by the clock, for the length of the spike."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    asking = []
    for at in range(int(SPIKE * per_second)):
        asking.append(asyncio.create_task(daemon.ask("default", timeout=DEADLINE)))
        await asyncio.sleep(max(0.0, started + (at + 1) / per_second - loop.time()))
    return await asyncio.gather(*asking)


@dataclass(frozen=True, kw_only=True)
class Spike:
    """What came of a spike, and of one call right after it; `reached` is how many calls the upstream saw."""

    seen: Sequence[Seen]
    seconds: float
    reached: int
    slowest_health: float
    afterwards: Seen

    @property
    def answered(self) -> list[Seen]:
        """The calls that were."""
        return [each for each in self.seen if not each.ending]

    @property
    def refused(self) -> list[Seen]:
        """The others."""
        return [each for each in self.seen if each.ending]

    @property
    def goodput(self) -> float:
        """Answers per second."""
        return len(self.answered) / self.seconds


async def spiked(daemon: Stage, healthy: Upstream, per_second: float) -> Spike:
    """Offer a spike and watch."""
    before = healthy.calls
    loop = asyncio.get_running_loop()
    started = loop.time()
    spike = asyncio.create_task(offered(daemon, per_second))
    slowest = await slowest_health(daemon, spike)
    seen = await spike
    return Spike(
        seen=seen,
        seconds=loop.time() - started,
        reached=healthy.calls - before,
        slowest_health=slowest,
        afterwards=await daemon.ask("default", timeout=DEADLINE),
    )


async def slowest_health(daemon: Stage, spike: "asyncio.Task[list[Seen]]") -> float:
    """Ask for the daemon's health all through the spike, and return the longest that took in seconds."""
    loop = asyncio.get_running_loop()
    slowest = 0.0
    async with grpc.aio.insecure_channel(daemon.daemon.target) as channel:
        while not spike.done():
            started = loop.time()
            response = await HealthStub(channel).Check(HealthCheckRequest(), timeout=5)
            slowest = max(slowest, loop.time() - started)
            assert response.status == HealthCheckResponse.SERVING
            await asyncio.sleep(0.05)
    return slowest


@pytest.mark.parametrize("times", [2, 4])
async def test_what_is_offered_beyond_capacity_costs_none_of_it(daemon: Stage, healthy: Upstream, times: int) -> None:
    """Goodput is at least nine tenths of capacity, nobody waits longer than told, and it is over when it is over."""
    needs_a_quiet_machine()

    spike = await measured(lambda: spiked(daemon, healthy, times * CAPACITY), lambda spike: spike.goodput >= GOOD)

    assert len(spike.answered) == spike.reached, "what was admitted finishes"
    assert {each.ending for each in spike.refused} == {"MODELS_UNAVAILABLE"}
    assert spike.goodput >= GOOD
    assert max(each.seconds for each in spike.answered) < LONGEST_WAIT + TAKES + SLACK
    assert max(each.seconds for each in spike.refused) < LONGEST_WAIT + SLACK
    assert spike.slowest_health < SLACK
    assert spike.afterwards.seconds < TAKES + SLACK


async def test_a_daemon_with_its_hands_full_sheds_at_once(
    sick: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The ninth call is OVERLOADED with a hint, health and the pool are seen all the same, and then all is well."""
    done = asyncio.Event()
    sick.respond(lambda request: (done, *well(request)))
    models = {"wide": model(sick.url)}
    server = {"max_in_flight": 8}
    async with stage(tmp_path_factory.mktemp("shed"), models, {"default": ["wide"]}, server=server) as daemon:
        held = [asyncio.create_task(daemon.ask("default", streams=at % 2 == 0)) for at in range(8)]
        await sick.received(sick.calls + 8)
        shed = [await daemon.ask("default", streams=streams) for streams in (False, True)]
        in_flight = (await daemon.model("wide")).in_flight
        done.set()
        answered = [await call for call in held]
        after = await daemon.ask("default")

    assert in_flight == 8
    assert [each.ending for each in shed] == ["OVERLOADED"] * 2
    assert all(each.error is not None and 0.1 <= (each.error.retry_after or 0) <= 0.5 for each in shed)
    assert all(each.seconds < SLACK for each in shed)
    assert [each.text for each in (*answered, after)] == ["well"] * 9
