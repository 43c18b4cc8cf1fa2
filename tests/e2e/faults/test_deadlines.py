"""A caller's time is split so that hanging models cost it neither its answer nor its patience."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fakes.measure import measured
from fakes.providers import OPENAI
from fakes.stage import NEVER_OPENS, Seen, Stage, model, stage, well
from fakes.upstream import HANG, Received, Script, Upstream, Wait, response

pytestmark = pytest.mark.asyncio(loop_scope="module")

both = pytest.mark.parametrize("streams", [False, True], ids=["unary", "stream"])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def daemon(sick: Upstream, healthy: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A daemon whose models have all the time in the world, and whose fallback is hardly known."""
    patience = {"first_token": "20s", "idle": "20s", "total": "60s"}
    models = {name: model(sick.url, timeouts=patience) for name in ("one", "two", "three")}
    models |= {name: model(healthy.url, timeouts=patience) for name in ("fallback", "quick")}
    agents = {"default": ["one", "two", "three"], "backed": ["one", "fallback"], "sped": ["one", "quick"]}
    async with stage(tmp_path_factory.mktemp("deadlines"), models, agents, circuit_breaker=NEVER_OPENS) as served:
        yield served


def not_at_once(request: Received) -> Script:
    """How a healthy model answers that needs 200 ms."""
    return (Wait(0.2), *well(request))


@both
async def test_three_hanging_models_are_all_tried_within_the_deadline(
    daemon: Stage, sick: Upstream, *, streams: bool
) -> None:
    """A caller with 2 s is told within them."""
    sick.answer_always(HANG)

    async def asked() -> Seen:
        before = sick.calls
        seen = await daemon.ask("default", streams=streams, timeout=2.0)
        assert sick.calls == before + 3
        return seen

    seen = await measured(asked, lambda seen: seen.seconds < 2.05)

    assert seen.ending == "DEADLINE_EXCEEDED"
    assert seen.seconds < 2.05


@both
async def test_the_fallback_behind_a_hanging_model_answers_within_the_deadline(
    daemon: Stage, sick: Upstream, healthy: Upstream, *, streams: bool
) -> None:
    """A caller with 1.5 s is answered: the first model may not use them up."""
    sick.answer_always(HANG)
    healthy.respond(not_at_once)

    seen = await daemon.ask("backed", streams=streams, timeout=1.5)

    assert seen.text == "well", seen.error
    assert seen.attempts == ["one", "fallback"]


async def test_a_model_that_needs_three_fifths_of_the_deadline_is_not_cut_short(daemon: Stage, sick: Upstream) -> None:
    """What is kept for a fallback of which nothing is known yet is a third, no more."""
    sick.answer_always(Wait(2.4), response(OPENAI.answer("late", OPENAI.usage)))

    seen = await measured(lambda: daemon.ask("backed", timeout=4.0), lambda seen: seen.text == "late")

    assert seen.text == "late", seen.error
    assert seen.attempts == ["one"]


async def test_a_fallback_known_to_be_quick_leaves_the_first_model_nearly_all_the_time(
    daemon: Stage, sick: Upstream, healthy: Upstream
) -> None:
    """What is kept is what the fallback has needed lately."""
    healthy.respond(well)
    await asyncio.gather(*(daemon.ask("model/quick") for _ in range(5)))
    sick.answer_always(Wait(0.8), response(OPENAI.answer("late", OPENAI.usage)))

    seen = await measured(lambda: daemon.ask("sped", timeout=1.1), lambda seen: seen.text == "late")

    assert seen.text == "late", seen.error


async def test_a_hopeless_call_reaches_no_model(daemon: Stage, sick: Upstream) -> None:
    """Under 20 ms nothing is started."""
    sick.respond(well)
    before = sick.calls

    seen = await daemon.ask("default", timeout=0.015)

    assert seen.ending == "DEADLINE_EXCEEDED"
    assert sick.calls == before
