"""A caller who leaves takes everything along: the permit, the connection, and any trace in the model's record."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
import pytest_asyncio

from fakes.faults import PIECES, saying
from fakes.providers import OPENAI
from fakes.stage import Seen, Stage, model, stage, well
from fakes.upstream import HANG, STREAM_HEAD, Script, Upstream, chunk, head, response
from penstock.v1.pool_service_pb2 import BREAKER_STATE_CLOSED

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERMIT_BACK = 0.05
CLOSED_UPSTREAM = 0.2
TIMES = 3
FLOOR = 10
"""Repeats that the retry budget of an idle model allows."""

BUSY = response(b'{"error": {"message": "busy"}}', status=503, retry_after="5")
BUSY_BRIEFLY = response(b'{"error": {"message": "busy"}}', status=503)
BEGINNING = (STREAM_HEAD, chunk(saying(OPENAI, PIECES[0])), HANG)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def daemon(sick: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A daemon with a model that takes one call at a time, and whose circuit is quick to open."""
    models = {"single": model(sick.url, max_in_flight=1)}
    rules = {"consecutive_failures": 30, "min_calls": 60}
    retry = {"max_attempts": 2, "base_delay": "10ms"}
    directory = tmp_path_factory.mktemp("cancelled")
    async with stage(directory, models, {"default": ["single"]}, circuit_breaker=rules, retry=retry) as served:
        yield served


@dataclass(frozen=True, kw_only=True)
class Left:
    """How long after its caller a call was gone, in seconds."""

    permit_back: float
    closed_upstream: float


async def leave(daemon: Stage, sick: Upstream, call: "asyncio.Task[Seen]") -> Left:
    """Cancel a call that is at the upstream."""
    loop = asyncio.get_running_loop()
    left_at = loop.time()
    call.cancel()
    await daemon.until_idle("single")
    permit_back = loop.time() - left_at
    return Left(permit_back=permit_back, closed_upstream=await sick.abandoned() - left_at)


def assert_prompt(left: Sequence[Left]) -> None:
    """All let go at once; as a busy machine stalls now and then, the most prompt one counts."""
    assert min(each.permit_back for each in left) < PERMIT_BACK
    assert min(each.closed_upstream for each in left) < CLOSED_UPSTREAM


@pytest.mark.parametrize(
    ("streams", "script"),
    [
        (False, (HANG,)),
        (True, (HANG,)),
        (False, (head(content_type="application/json", content_length="99"), b"{", HANG)),
        (True, BEGINNING),
    ],
    ids=["unary before headers", "stream before headers", "mid-answer", "mid-stream"],
)
async def test_a_call_cancelled_while_its_model_works_lets_go_at_once(
    daemon: Stage, sick: Upstream, script: Script, *, streams: bool
) -> None:
    """The permit is back within 50 ms, the connection closed within 200, and nobody is to blame."""
    sick.respond(lambda request: script)
    failed = (await daemon.model("single")).error_rate
    left = []

    for _ in range(TIMES):
        heard = asyncio.Event()
        before = sick.calls
        call = asyncio.create_task(daemon.ask("default", streams=streams, heard=heard))
        await sick.received(before + 1)
        if script is BEGINNING:
            await heard.wait()
        left.append(await leave(daemon, sick, call))

    assert_prompt(left)
    single = await daemon.model("single")
    assert (single.breaker_state, single.error_rate) == (BREAKER_STATE_CLOSED, failed)


async def test_a_call_cancelled_while_it_waits_for_room_leaves_the_queue(daemon: Stage, sick: Upstream) -> None:
    """The model's one permit goes to who is still there, and the upstream never hears of the one who left."""
    done = asyncio.Event()
    sick.respond(lambda request: (done, *well(request)))
    before, left = sick.calls, len(daemon.daemon.logged("call finished", code="CANCELLED"))
    first = asyncio.create_task(daemon.ask("default"))
    await sick.received(before + 1)
    second = asyncio.create_task(daemon.ask("default"))
    await daemon.until_under_way(2)
    third = asyncio.create_task(daemon.ask("default"))
    await daemon.until_under_way(3)

    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await daemon.daemon.line("call finished", count=left + 1, code="CANCELLED")
    done.set()

    assert [(await call).text for call in (first, third)] == ["well", "well"]
    assert sick.calls == before + 2
    assert (await daemon.model("single")).in_flight == 0


async def test_calls_cancelled_in_backoff_leave_the_retry_budget_as_it_was(daemon: Stage, sick: Upstream) -> None:
    """They hold no permit while they wait, and more of them than the budget has repeats do not use it up."""
    sick.answer_always(BUSY)
    for _ in range(FLOOR + 2):
        before = sick.calls
        call = asyncio.create_task(daemon.ask("default", timeout=30))
        await sick.received(before + 1)
        await daemon.until_idle("single")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    await still_repeats(daemon, sick)


async def test_repeats_cancelled_at_the_model_leave_the_retry_budget_as_it_was(daemon: Stage, sick: Upstream) -> None:
    """A repeat that its caller gave up says nothing, and costs nothing."""
    left = []
    for _ in range(FLOOR + 2):
        sick.answer(BUSY_BRIEFLY)
        sick.answer_always(HANG)
        before = sick.calls
        call = asyncio.create_task(daemon.ask("default"))
        await sick.received(before + 2)
        left.append(await leave(daemon, sick, call))

    assert_prompt(left)
    await still_repeats(daemon, sick)


async def still_repeats(daemon: Stage, sick: Upstream) -> None:
    """A call whose first attempt fails gets its second."""
    sick.answer(BUSY_BRIEFLY)
    sick.respond(well)
    seen = await daemon.ask("default")
    assert seen.text == "well", seen.error
    assert seen.attempts == ["single", "single"]
    assert (await daemon.model("single")).breaker_state == BREAKER_STATE_CLOSED
