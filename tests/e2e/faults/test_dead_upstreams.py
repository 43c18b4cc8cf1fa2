"""A dead upstream is not hit harder for being dead, and its callers learn at once when to come back."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import RetryInfo

from fakes.rpc import PROCESS, wire
from fakes.stage import NEVER_OPENS, OPENS_SOON, Stage, model, stage, well
from fakes.upstream import HANG, Upstream, response
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstock.v1.pool_service_pb2 import BREAKER_STATE_CLOSED, BREAKER_STATE_HALF_OPEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOWN = response(b'{"error": {"message": "down"}}', status=503)
AT_ONCE = 0.25
LONGEST_OPEN = 0.6
"""Seconds: 500 ms and a fifth of it."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def daemon(sick: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A daemon that gives a failing model up soon and briefly."""
    models = {"only": model(sick.url)}
    async with stage(tmp_path_factory.mktemp("dead"), models, {"default": ["only"]}, circuit_breaker=OPENS_SOON) as it:
        yield it


@pytest_asyncio.fixture(loop_scope="module")
async def stubborn(sick: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A daemon that keeps asking a failing model: only the retry budget holds it back."""
    models = {"only": model(sick.url)}
    retry = {"base_delay": "10ms"}
    directory = tmp_path_factory.mktemp("stubborn")
    async with stage(directory, models, {"default": ["only"]}, retry=retry, circuit_breaker=NEVER_OPENS) as served:
        yield served


async def asked(daemon: Stage, calls: int, per_second: float) -> list[str]:
    """Make calls at a steady rate, whatever becomes of those before, and return how each ended."""
    asking = []
    for _ in range(calls):
        asking.append(asyncio.create_task(daemon.ask("default")))
        await asyncio.sleep(1 / per_second)
    return [seen.ending for seen in await asyncio.gather(*asking)]


async def test_repeats_add_no_more_than_a_tenth_to_what_a_dead_upstream_sees(stubborn: Stage, sick: Upstream) -> None:
    """At 50 calls/s, even with a circuit that never opens."""
    sick.answer_always(DOWN)
    before = sick.calls

    endings = await asked(stubborn, 200, per_second=50)

    assert set(endings) == {"MODELS_UNAVAILABLE"}
    assert 200 < sick.calls - before <= 220


async def test_a_dead_upstream_is_hardly_seen_once_its_circuit_is_open(daemon: Stage, sick: Upstream) -> None:
    """A probe now and then is all that reaches it."""
    sick.answer_always(DOWN)
    await daemon.until_open("only")
    before = sick.calls

    endings = await asked(daemon, 60, per_second=50)

    assert set(endings) == {"MODELS_UNAVAILABLE"}
    assert sick.calls - before <= 5


async def test_callers_of_an_open_circuit_are_told_at_once_when_it_may_recover(daemon: Stage, sick: Upstream) -> None:
    """RetryInfo and pushback say the same, and it is when the next probe is due."""
    sick.answer_always(DOWN)
    await daemon.until_open("only")
    loop = asyncio.get_running_loop()

    async with wire(daemon.daemon.target) as raw:
        started = loop.time()
        ended = await raw.ask(PROCESS, ProcessRequest(input="hello"))
        seconds = loop.time() - started

    hint = ended.detail(RetryInfo).retry_delay.ToTimedelta().total_seconds()
    assert seconds < AT_ONCE
    assert ended.reason == "MODELS_UNAVAILABLE"
    assert 0 < hint <= LONGEST_OPEN
    assert int(ended.trailing["grpc-retry-pushback-ms"]) == pytest.approx(hint * 1000, abs=1)


async def test_of_a_hundred_callers_at_half_open_exactly_one_reaches_the_upstream(
    daemon: Stage, sick: Upstream
) -> None:
    """The others are refused at once; the probe's caller is answered when the upstream does."""
    sick.answer_always(DOWN)
    await daemon.until_open("only")
    recovered = asyncio.Event()
    sick.respond(lambda request: (recovered, *well(request)))
    await daemon.until_due("only")
    before = sick.calls

    asking = [asyncio.create_task(daemon.ask("default")) for _ in range(100)]
    for refused in itertools.islice(asyncio.as_completed(asking), 99):
        await refused
    probing = await daemon.model("only")
    recovered.set()
    seen = await asyncio.gather(*asking)

    assert sick.calls == before + 1
    assert probing.breaker_state == BREAKER_STATE_HALF_OPEN
    assert sorted(each.ending for each in seen) == ["", *["MODELS_UNAVAILABLE"] * 99]


async def test_two_probes_that_succeed_close_the_circuit(daemon: Stage, sick: Upstream) -> None:
    """From then on every call passes."""
    sick.answer_always(DOWN)
    await daemon.until_open("only")
    sick.respond(well)
    await daemon.until_due("only")

    seen = [await daemon.ask("default") for _ in range(2)]
    recovered = await daemon.model("only")
    at_once = await asyncio.gather(*(daemon.ask("default") for _ in range(10)))

    assert recovered.breaker_state == BREAKER_STATE_CLOSED
    assert {each.ending for each in [*seen, *at_once]} == {""}


async def test_a_result_that_comes_late_does_not_move_a_newer_circuit(daemon: Stage, sick: Upstream) -> None:
    """Calls that began before the circuit opened fail while it is closed again: that is yesterday's news."""
    sick.respond(well)
    await daemon.until_due("only")
    while (await daemon.model("only")).breaker_state != BREAKER_STATE_CLOSED:
        await daemon.ask("default")
    verdict = asyncio.Event()
    sick.answer_always(verdict, DOWN)
    late = [asyncio.create_task(daemon.ask("default")) for _ in range(10)]
    await sick.received(sick.calls + 10)
    sick.answer_always(DOWN)
    await daemon.until_open("only")
    sick.respond(well)
    await daemon.until_due("only")
    for _ in range(2):
        await daemon.ask("default")

    verdict.set()
    await asyncio.gather(*late)

    recovered = await daemon.model("only")
    assert recovered.breaker_state == BREAKER_STATE_CLOSED
    assert recovered.error_rate == 0


async def test_a_probe_that_its_caller_cancels_gives_its_place_back(daemon: Stage, sick: Upstream) -> None:
    """The next caller may probe at once."""
    sick.answer_always(DOWN)
    await daemon.until_open("only")
    sick.answer_always(HANG)
    await daemon.until_due("only")
    before = sick.calls
    probing = asyncio.create_task(daemon.ask("default"))
    await sick.received(before + 1)
    probing.cancel()
    await daemon.until_idle("only")
    sick.respond(well)

    seen = await daemon.ask("default")

    assert seen.text == "well", seen.error
