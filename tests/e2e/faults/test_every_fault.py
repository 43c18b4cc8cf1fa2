"""Whatever an upstream does wrong, the caller gets a whole answer or an honest status, and the daemon stays small."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fakes.answer_faults import ANSWERS
from fakes.faults import BEGUN, TEXT, WHOLE, Break, Fault
from fakes.odd_usage import ODDITIES, OddUsage
from fakes.providers import KINDS, Kind
from fakes.stage import NEVER_OPENS, Seen, Stage, model, stage
from fakes.stream_faults import AFTER_TEXT, BEFORE_TEXT, HARMLESS
from fakes.upstream import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

ATTEMPTS = 2
MOST_MEMORY = 64 << 20
"""Bytes that one call may cost: a body of 16 MiB is the longest that is read, and it is copied once."""
MOST_MEMORY_OF_A_STREAM = 12 << 20
IMPATIENT = {"first_token": "100ms", "idle": "100ms", "total": "200ms"}

HARMFUL = [fault for fault in ANSWERS if fault.ending != WHOLE]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def daemon(sick: Upstream, healthy: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A daemon that knows the sick upstream as either kind of provider, and never gives it up."""
    models = {"healthy": model(healthy.url)}
    for kind in KINDS:
        models[f"{kind.name}-patient"] = model(sick.url, kind)
        models[f"{kind.name}-impatient"] = model(sick.url, kind, timeouts=IMPATIENT)
    agents = {name: [name, "healthy"] for name in models if name != "healthy"}
    retry = {"max_attempts": ATTEMPTS, "base_delay": "1ms", "budget": 1}
    async with stage(tmp_path_factory.mktemp("faults"), models, agents, retry=retry, circuit_breaker=NEVER_OPENS) as it:
        yield it


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _fresh_connections(sick: Upstream) -> None:
    """Break connections that were used: one that then fails is asked anew without being an attempt, not meant here."""
    await sick.hang_up()


async def ask(daemon: Stage, agent: str, *, streams: bool, heard: asyncio.Event | None = None) -> Seen:
    """Ask, and see to it that the daemon's memory stays bounded."""
    async with daemon.memory as memory:
        seen = await daemon.ask(agent, streams=streams, heard=heard)
    assert memory.growth < (MOST_MEMORY_OF_A_STREAM if streams else MOST_MEMORY)
    return seen


def named(kind: Kind, fault: Fault | Break) -> str:
    """The model that suffers the fault."""
    return f"{kind.name}-{'impatient' if fault.takes_patience else 'patient'}"


every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


every_fault_before_text = pytest.mark.parametrize(
    ("fault", "streams"),
    [
        *(pytest.param(fault, False, id=f"unary-{fault}") for fault in HARMFUL),
        *(pytest.param(fault, True, id=f"stream-{fault}") for fault in BEFORE_TEXT),
    ],
)


@every_kind
@every_fault_before_text
async def test_a_call_is_answered_by_the_healthy_model_if_the_caller_got_no_text(
    daemon: Stage, sick: Upstream, kind: Kind, fault: Fault, *, streams: bool
) -> None:
    """The faulty model is asked once, and the healthy one's answer is the caller's; of a unary call, always."""
    sick.respond(lambda request: fault.steps(kind))
    calls = sick.calls

    seen = await ask(daemon, named(kind, fault), streams=streams)

    assert sick.calls == calls + 1
    assert seen.text == "well", seen.error
    assert seen.attempts == [named(kind, fault), "healthy"]


@every_kind
@every_fault_before_text
async def test_a_call_without_another_model_ends_with_an_honest_status(
    daemon: Stage, sick: Upstream, kind: Kind, fault: Fault, *, streams: bool
) -> None:
    """The model is asked twice, and the status says what was wrong with it."""
    sick.respond(lambda request: fault.steps(kind))
    calls = sick.calls

    seen = await ask(daemon, f"model/{named(kind, fault)}", streams=streams)

    assert sick.calls == calls + ATTEMPTS
    assert (seen.ending, seen.text) == (fault.ending, "")


@every_kind
@pytest.mark.parametrize("fault", AFTER_TEXT, ids=str)
@pytest.mark.parametrize("has_another", [True, False], ids=["with another model", "alone"])
async def test_a_stream_that_had_begun_is_broken_and_not_repeated(
    daemon: Stage, sick: Upstream, healthy: Upstream, kind: Kind, fault: Break, *, has_another: bool
) -> None:
    """The caller keeps what was said, once, and is told that there is more to the answer."""
    heard = asyncio.Event()
    sick.respond(lambda request: fault.steps(kind, heard))
    calls, others = sick.calls, healthy.calls

    seen = await ask(daemon, f"{'' if has_another else 'model/'}{named(kind, fault)}", streams=True, heard=heard)

    assert (sick.calls, healthy.calls) == (calls + 1, others)
    assert seen.text == BEGUN
    assert seen.error is not None
    assert seen.ending == "STREAM_BROKEN"
    assert seen.error.metadata["partial"] == "true"


@every_kind
@pytest.mark.parametrize("fault", HARMLESS, ids=str)
async def test_an_odd_stream_is_answered_whole(
    daemon: Stage, sick: Upstream, healthy: Upstream, kind: Kind, fault: Fault
) -> None:
    """What is within the rules does no harm: the text and the count of tokens are whole."""
    sick.respond(lambda request: fault.steps(kind))
    calls, others = sick.calls, healthy.calls

    seen = await ask(daemon, named(kind, fault), streams=True)

    assert (sick.calls, healthy.calls) == (calls + 1, others)
    assert seen.text == TEXT, seen.error
    assert seen.response is not None
    assert seen.response.usage.total_tokens == kind.usage.total


@every_kind
@pytest.mark.parametrize("oddity", ODDITIES, ids=str)
@pytest.mark.parametrize("streams", [True, False], ids=["stream", "unary"])
async def test_an_odd_count_of_tokens_does_no_harm(
    daemon: Stage, sick: Upstream, kind: Kind, oddity: OddUsage, *, streams: bool
) -> None:
    """The answer is whole, nothing is counted below zero or twice, and what nobody counted is estimated."""
    sick.respond(lambda request: oddity.steps(kind, streams=streams))

    seen = await ask(daemon, f"model/{kind.name}-patient", streams=streams)

    assert seen.text == TEXT, seen.error
    assert seen.response is not None
    assert seen.response.cost_estimated == oddity.is_estimated
    assert (seen.response.usage.total_tokens == kind.usage.total) == (not oddity.is_estimated)
    assert seen.response.usage.total_tokens > 0


@every_kind
async def test_an_answer_that_drips_is_answered_whole(daemon: Stage, sick: Upstream, kind: Kind) -> None:
    """One byte at a time is slow and not wrong."""
    (fault,) = (fault for fault in ANSWERS if fault.ending == WHOLE)
    sick.respond(lambda request: fault.steps(kind))

    seen = await ask(daemon, named(kind, fault), streams=False)

    assert seen.text == TEXT, seen.error
