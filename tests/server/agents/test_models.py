"""An agent asks its models, as every model call is made."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.calls import STREAM, a_call
from fakes.metering import MeteredCalls
from fakes.model_calls import Asked
from fakes.python_agents import REQUEST, Scene
from fakes.scripted_model import HANGS
from penstockd.agents.context import AgentContext, AgentRequest
from penstockd.agents.models import Question
from penstockd.call import Reply
from penstockd.ledger import EntryStatus
from penstockd.outcome import FinishReason, Outcome
from penstockd.principal import Principal
from penstockd.request import Parameters, Role, Turn
from penstockd.upstream import Broken
from penstockd.usage import Usage


def test_ask_returns_a_whole_answer() -> None:
    """Text and usage; the call takes in attempts and model."""
    scene = Scene((Usage(uncached_input=3, output=2), "Hel", "lo"))

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask(request.input)).output.upper()

    asked = scene.answer(asks)

    assert asked.heard.text == "HELLO"
    assert asked.attempts == [("a", "")]
    assert asked.outcome.model == "a"
    assert scene.a.calls[0].request.streams is False


def test_ask_retries_as_every_model_call_does() -> None:
    """A failed attempt is repeated, and on record."""
    scene = Scene(Broken("reset", reason="reset"), "text")

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask("question")).output

    asked = scene.answer(asks)

    assert asked.heard.text == "text"
    assert asked.attempts == [("a", "reset"), ("a", "")]


def test_parameters_come_from_the_question_then_from_the_agent() -> None:
    """What nobody says is the daemon's default."""
    scene = Scene()

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        turns: Question = [("user", "a"), ("assistant", "b"), Turn(Role.USER, "c")]
        await context.models.ask(turns, instructions="be brief", temperature=0.9, stop=("x",))
        return ""

    scene.answer(asks)

    prompt = scene.a.calls[0].request
    assert prompt.parameters == Parameters(temperature=0.9, stop=("x",), max_output_tokens=50)
    assert prompt.instructions == "be brief"
    assert prompt.turns == (Turn(Role.USER, "a"), Turn(Role.ASSISTANT, "b"), Turn(Role.USER, "c"))


def test_turns_may_be_written_as_models_take_them() -> None:
    """The form that everybody's history has already."""
    scene = Scene()

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        turns: Question = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, ("user", "c")]
        await context.models.ask(turns)
        return ""

    assert scene.answer(asks).error is None
    (call,) = scene.a.calls
    assert call.request.turns == (Turn(Role.USER, "a"), Turn(Role.ASSISTANT, "b"), Turn(Role.USER, "c"))


def test_what_an_agents_own_kind_of_turn_has_besides_is_not_sent() -> None:
    """A provider would be shown it, and might refuse it."""

    class Marked(Turn, frozen=True):
        mark: str

    scene = Scene()

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        await context.models.ask([Marked(Role.USER, "a", "secret")])
        return ""

    assert scene.answer(asks).error is None
    (call,) = scene.a.calls
    assert [(type(turn), turn.content) for turn in call.request.turns] == [(Turn, "a")]


@pytest.mark.parametrize(
    "turn",
    [
        ("system", "be nice"),
        ("user",),
        ("user", b"hi"),
        "hi",
        None,
        {"role": "user"},
        {"role": "system", "content": "be nice"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "user", "content": "hi", "name": "bob"},
    ],
)
def test_what_is_no_turn_is_refused_with_what_would_be_one(turn: Any) -> None:  # noqa: ANN401 - whatever people write
    """It is an error of the function's, raised where it asks."""

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask([turn])).output

    asked = Scene().answer(asks)

    assert isinstance(asked.error, TypeError)
    assert str(asked.error).startswith('a turn is ("user", TEXT)')
    assert '{"role": "user", "content": TEXT}' in str(asked.error)


def test_another_route_is_asked_by_name() -> None:
    """The agent's own is the default."""
    scene = Scene()

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask("question", route="other")).output

    assert scene.answer(asks).heard.text == "from b"
    assert scene.a.calls == []


def test_an_unknown_route_is_the_agents_mistake() -> None:
    """It is an error of the function's, raised where it asks."""

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask("question", route="nowhere")).output

    asked = Scene().answer(asks)

    assert isinstance(asked.error, LookupError)


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "100"])
def test_a_length_that_holds_nothing_is_the_agents_mistake(limit: Any) -> None:  # noqa: ANN401 - whatever people write
    """No model is asked: with it neither limits nor budgets would bind."""
    scene = Scene()

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask("question", max_output_tokens=limit)).output

    async def streams(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        async for text in context.models.stream("question", max_output_tokens=limit):
            yield text

    async def main() -> list[Asked]:
        return [await scene.ask(asks), await scene.ask(streams)]

    for asked in scene.models.run(main()):
        assert isinstance(asked.error, ValueError)
        assert str(asked.error) == f"max_output_tokens must be an int of at least 1, or None, not {limit!r}"
    assert scene.a.calls == []


def test_a_failed_attempt_is_logged_with_the_trace_of_the_call(caplog: pytest.LogCaptureFixture) -> None:
    """As that of a prompt agent is."""

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask("question")).output

    Scene(Broken("502"), "text").answer(asks)

    (record,) = caplog.records
    assert record.getMessage() == "an attempt failed"
    assert record.__dict__["fields"]["trace_id"] == "t1"


def test_stream_yields_as_the_model_speaks() -> None:
    """Piece by piece, and the model call is a streaming one."""
    scene = Scene(("one ", 1.0, "two"))

    async def streams(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        async for text in context.models.stream("question"):
            yield text.upper()

    asked = scene.answer(streams)

    assert asked.heard.deltas == ["ONE ", "TWO"]
    assert scene.a.calls[0].request.streams is True
    assert scene.a.in_flight == 0


def test_a_stream_that_breaks_raises_after_what_was_said() -> None:
    """The reader gets every piece, then the error."""
    scene = Scene(("one ", "two", Broken("reset")))

    async def streams(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        async for text in context.models.stream("question"):
            yield text

    asked = scene.answer(streams)

    assert asked.heard.deltas == ["one ", "two"]
    assert asked.refusal.reason == "STREAM_BROKEN"
    assert asked.heard.completed is None


def test_a_reader_that_stops_early_ends_the_model_call() -> None:
    """What nobody reads is not paid for: the attempt is cancelled before the answer goes on."""
    scene = Scene(("one ", "two ", "three ", HANGS))

    async def takes_one(request: AgentRequest, context: AgentContext) -> str:
        async for text in context.models.stream("question"):
            return text
        return ""

    asked, in_flight = scene.models.run(scene.ask_and_count(takes_one))

    assert asked.heard.text == "one "
    assert asked.heard.completed is not None
    assert asked.attempts == [("a", "cancelled")]
    assert in_flight == 0


def test_a_stream_left_behind_is_closed_with_the_call() -> None:
    """An iterator that is kept and forgotten holds no permit."""
    scene, kept = Scene(("one ", HANGS)), []

    async def forgets(request: AgentRequest, context: AgentContext) -> str:
        stream = context.models.stream("question")
        kept.append(stream)
        return await anext(stream)

    asked, in_flight = scene.models.run(scene.ask_and_count(forgets))

    assert asked.heard.text == "one "
    assert in_flight == 0
    assert asked.attempts == [("a", "cancelled")]


def test_an_inner_cancellation_of_a_stream_is_no_hang() -> None:
    """A provider that raises CancelledError ends the reader too."""
    scene = Scene(asyncio.CancelledError())

    async def streams(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        async for text in context.models.stream("question"):
            yield text

    asked = scene.answer(streams)

    assert isinstance(asked.error, asyncio.CancelledError)
    assert scene.models.clock.monotonic() == 1000.0


def test_an_agent_learns_why_an_answer_ended() -> None:
    """It may ask for the rest."""
    scene, seen = Scene("whole", ("half of", FinishReason.LENGTH)), []

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        seen.extend([(await context.models.ask("question")).finish_reason for _ in range(2)])
        return ""

    scene.answer(asks)

    assert seen == [FinishReason.STOP, FinishReason.LENGTH]


@pytest.mark.parametrize(("ending", "may_be_kept"), [(FinishReason.STOP, True), (FinishReason.LENGTH, False)])
def test_what_was_made_of_half_an_answer_is_not_kept(ending: FinishReason, *, may_be_kept: bool) -> None:
    """Asked or streamed, and whatever else was whole."""

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        first = await context.models.ask("question")
        return first.output + (await context.models.ask("question")).output

    async def streams(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        for _ in range(2):
            async for text in context.models.stream("question"):
                yield text

    for function in (asks, streams):
        completed = Scene(("half of", ending), "whole").answer(function).heard.completed
        assert completed is not None
        assert (completed.finish_reason, completed.may_be_kept) == (FinishReason.STOP, may_be_kept)


def test_a_question_of_no_turns_is_refused() -> None:
    """It is an error of the function's, raised where it asks or begins to read."""
    scene = Scene()

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask([])).output

    async def streams(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        async for text in context.models.stream([]):
            yield text

    async def main() -> list[Asked]:
        return [await scene.ask(asks), await scene.ask(streams)]

    for asked in scene.models.run(main()):
        assert isinstance(asked.error, ValueError)
        assert "at least one turn" in str(asked.error)
    assert scene.a.calls == []


def test_parallel_model_calls_are_listed_in_the_order_of_their_beginning() -> None:
    """Whichever ends first."""
    scene = Scene((2.0, "slow"))

    async def asks_both(request: AgentRequest, context: AgentContext) -> str:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(context.models.ask("question"))
            await asyncio.sleep(0.5)
            tasks.create_task(context.models.ask("question", route="other"))
        return ""

    asked = scene.answer(asks_both)

    assert asked.attempts == [("a", ""), ("b", "")]
    assert [attempt.ordinal for attempt in asked.outcome.attempts] == [1, 2]


@pytest.mark.parametrize("error", [None, ValueError("odd")], ids=["returns", "raises"])
def test_a_question_left_behind_is_ended_and_settled_before_the_answer(error: Exception | None) -> None:
    """What it cost is on the ledger, and in the answer."""
    models = MeteredCalls()
    models.ledger.settle_takes = 1.0
    scene, left = Scene(HANGS, models=models), []

    async def leaves(request: AgentRequest, context: AgentContext) -> str:
        left.append(asyncio.create_task(context.models.ask("question")))
        await asyncio.sleep(0.5)
        if error is not None:
            raise error
        return "gone"

    async def main() -> tuple[Asked, list[EntryStatus]]:
        asked = await scene.ask(leaves)
        return asked, [entry.status for entry in models.ledger.entries]

    asked, statuses = models.run(main())

    assert asked.error is error
    assert asked.attempts == [("a", "cancelled")]
    assert asked.outcome.cost_nanousd
    assert statuses == [EntryStatus.CANCELLED]
    assert left[0].cancelled()
    models.assert_settled(scene.a)


def test_a_question_left_behind_ends_with_a_cancelled_caller() -> None:
    """Before the call is over."""
    scene = Scene(HANGS)

    async def leaves(request: AgentRequest, context: AgentContext) -> str:
        task = asyncio.create_task(context.models.ask("question"))
        await asyncio.sleep(30.0)
        return (await task).output

    async def main() -> tuple[Asked, int]:
        task = asyncio.ensure_future(scene.ask_and_count(leaves))
        await scene.models.clock.sleep(1.0)
        task.cancel()
        return await task

    asked, in_flight = scene.models.run(main())

    assert isinstance(asked.error, asyncio.CancelledError)
    assert asked.attempts == [("a", "cancelled")]
    assert in_flight == 0


def test_whoever_reads_a_stream_left_behind_is_told() -> None:
    """Nobody waits for ever for text that does not come, whether some is there or not."""
    scene = Scene(("one ", HANGS), ("one ", "two ", HANGS))
    left: list[asyncio.Task[None]] = []

    async def leaves(request: AgentRequest, context: AgentContext) -> str:
        async def reads(pause: float) -> None:
            async for _ in context.models.stream("question"):
                await asyncio.sleep(pause)

        left.extend(asyncio.create_task(reads(pause)) for pause in (0.0, 5.0))
        await asyncio.sleep(1.0)
        return "gone"

    async def main() -> tuple[Asked, float]:
        asked = await scene.ask(leaves)
        answered_at = scene.models.clock.monotonic()
        ended, _ = await asyncio.wait(left, timeout=60.0)
        assert all(task in ended and task.cancelled() for task in left)
        return asked, answered_at

    asked, answered_at = scene.models.run(main())

    assert asked.heard.text == "gone"
    assert answered_at == 1001.0
    assert scene.a.in_flight == 0


def test_whoever_begins_to_read_as_the_agent_returns_is_told() -> None:
    """Though the model call that was to answer never began."""
    scene, left = Scene(), []

    async def leaves(request: AgentRequest, context: AgentContext) -> str:
        async def reads() -> None:
            async for _ in context.models.stream("question"):
                pass

        left.append(asyncio.create_task(reads()))
        await asyncio.sleep(0)
        return "gone"

    async def main() -> None:
        await scene.ask(leaves)
        ended, _ = await asyncio.wait(left, timeout=60.0)
        assert all(task in ended and task.cancelled() for task in left)

    scene.models.run(main())

    assert scene.a.calls == []


def test_whoever_reads_slowly_what_was_whole_when_the_agent_returned_has_it_all() -> None:
    """The model call ended by itself; what it said lay ready."""
    scene, read = Scene(("one ", "two")), []
    left: list[asyncio.Task[None]] = []

    async def leaves(request: AgentRequest, context: AgentContext) -> str:
        async def reads() -> None:
            async for text in context.models.stream("question"):
                read.append(text)
                await asyncio.sleep(5.0)

        left.append(asyncio.create_task(reads()))
        await asyncio.sleep(1.0)
        return "gone"

    async def main() -> None:
        await scene.ask(leaves)
        ended, _ = await asyncio.wait(left, timeout=60.0)
        assert all(task in ended and not task.cancelled() for task in left)

    scene.models.run(main())

    assert read == ["one ", "two"]


def test_a_stream_is_at_most_one_piece_ahead_of_its_reader() -> None:
    """A slow reader slows the model down, and nothing piles up."""
    scene, ahead = Scene(("one ", "two ", "three ", "four")), []

    async def streams(request: AgentRequest, context: AgentContext) -> str:
        async for _ in context.models.stream("question"):
            await asyncio.sleep(1.0)
            ahead.append(scene.a.in_flight)
        return ""

    scene.answer(streams)

    assert ahead == [1, 1, 0, 0]


def test_what_an_agent_left_behind_can_ask_no_more() -> None:
    """It learns why."""
    scene, left = Scene(), []

    async def leaves(request: AgentRequest, context: AgentContext) -> str:
        async def asks() -> None:
            await context.models.ask("question")

        async def streams() -> None:
            async for _ in context.models.stream("question"):
                pass

        left.extend([asyncio.create_task(asks()), asyncio.create_task(streams())])
        return "gone"

    async def main() -> list[object]:
        await scene.ask(leaves)
        return await asyncio.gather(*left, return_exceptions=True)

    errors = scene.models.run(main())

    assert [type(error) for error in errors] == [RuntimeError, RuntimeError]
    assert "the agent has returned" in str(errors[0])
    assert scene.a.calls == []


def test_what_a_caller_hears_first_is_said_by_a_model_it_is_told_of() -> None:
    """A stream begins with the model's name, while the agent still listens to it."""
    scene, told = Scene(("Hel", "lo")), list[str]()

    async def repeats(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        async for text in context.models.stream("question"):
            yield text

    async def main() -> None:
        outcome = Outcome(principal=Principal(tenant="acme"))

        async def send(_: Reply) -> None:
            told.append(outcome.model)

        await scene.agent(repeats)(a_call(REQUEST, method=STREAM, send=send, outcome=outcome))

    scene.models.run(main())

    assert told == ["a", "a", "a"]


def test_a_question_ends_when_the_agent_stops_waiting_for_it() -> None:
    """By a timeout or a cancel of its own, before the agent goes on."""
    scene, in_flight = Scene(HANGS, HANGS), []

    async def waits(request: AgentRequest, context: AgentContext) -> str:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(context.models.ask("question"), 1.0)
        in_flight.append(scene.a.in_flight)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await context.models.ask("question")
        in_flight.append(scene.a.in_flight)
        return "enough"

    asked = scene.answer(waits)

    assert asked.heard.text == "enough"
    assert asked.attempts == [("a", "cancelled"), ("a", "cancelled")]
    assert in_flight == [0, 0]


def test_an_inner_cancellation_of_a_question_is_no_hang() -> None:
    """A provider that raises CancelledError ends who asked."""
    scene = Scene(asyncio.CancelledError())

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask("question")).output

    asked = scene.answer(asks)

    assert isinstance(asked.error, asyncio.CancelledError)
    assert scene.models.clock.monotonic() == 1000.0
