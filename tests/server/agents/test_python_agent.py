"""A Python function answers calls, asking models as every model call is made."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest
from msgspec.structs import replace

from fakes import agent_functions
from fakes.calls import STREAM, a_call
from fakes.metering import MeteredCalls
from fakes.model_calls import Asked, ModelCalls
from fakes.scripted_model import HANGS, ScriptedModel
from penstockd import foreign_tasks
from penstockd.agents.context import AgentContext, AgentRequest
from penstockd.agents.models import Question
from penstockd.agents.python_agent import Function, PythonAgent, load_function
from penstockd.call import Overtime, Reply
from penstockd.errors import ModelsUnavailable, Overloaded
from penstockd.foreign_tasks import LINGER
from penstockd.ledger import EntryStatus
from penstockd.logs.log import Log
from penstockd.models.route import Route, priority
from penstockd.outcome import FinishReason, Outcome
from penstockd.principal import Principal
from penstockd.request import Parameters, Request, Role, Turn
from penstockd.upstream import Broken, Rejected
from penstockd.usage import Usage

REQUEST = Request(
    agent="agent",
    input="hello",
    history=(Turn(Role.USER, "before"),),
    user_id="u1",
    labels={"team": "search"},
    parameters=Parameters(temperature=0.5),
)


class Scene:
    """An agent over two scripted models, each on a route of its own."""

    def __init__(self, *script: Any, models: ModelCalls | None = None) -> None:  # noqa: ANN401 - as ScriptedModel
        self.models = models or ModelCalls(max_attempts=2)
        self.a = self.models.model("a", *script)
        self.b = self.models.model("b", "from b")

    def agent(self, function: Function) -> PythonAgent:
        """The agent that is `function`."""
        return PythonAgent(
            name="agent",
            description="",
            function=function,
            route=_route(self.a),
            routes={"other": _route(self.b)},
            parameters=Parameters(temperature=0.1, max_output_tokens=50),
            ask=self.models.handle,
            caching=None,
            fingerprint="",
            log=Log("test"),
        )

    async def ask(self, function: Function) -> Asked:
        """Make one call and return what came of it."""
        return await self.ask_agent(self.agent(function))

    async def ask_agent(self, agent: PythonAgent) -> Asked:
        """Make one call to this agent."""
        asked = Asked()
        asked.outcome.request_id = "r1"
        asked.outcome.trace_ids = {"trace_id": "t1"}
        asked.outcome.principal = Principal(tenant="acme")
        now = self.models.clock.monotonic()
        call = a_call(REQUEST, method=STREAM, send=asked.heard.take, outcome=asked.outcome, expires_at=now + 30.0)
        try:
            await agent(call)
        except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # noqa: BLE001 - the test looks at it
            asked.error = error
        return asked

    async def ask_and_count(self, function: Function) -> tuple[Asked, int]:
        """Make one call, and look at once how many model calls it left in flight."""
        return await self.ask(function), self.a.in_flight

    def answer(self, function: Function) -> Asked:
        """Make one call in no time at all."""
        return self.models.run(self.ask(function))

    async def cancelled(self, function: Function, *, after: float = 1.0) -> tuple[Asked, float]:
        """Make one call, cancel it, and return what came of it and how long that took."""
        task = asyncio.ensure_future(self.ask(function))
        await self.models.clock.sleep(after)
        task.cancel()
        cancelled_at = self.models.clock.monotonic()
        asked = await task
        return asked, self.models.clock.monotonic() - cancelled_at


def _route(model: ScriptedModel) -> Route:
    return Route([model.model], priority)


def test_a_returned_text_is_the_answer() -> None:
    """One Delta, and Completed."""
    asked = Scene().answer(agent_functions.replies)

    assert asked.heard.deltas == ["hello"]
    assert asked.heard.completed is not None
    assert asked.outcome.usage == Usage()
    assert asked.outcome.cost_nanousd == 0


def test_yielded_texts_come_piece_by_piece() -> None:
    """Each is sent as it is said; an empty one is not."""

    async def yields(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        for text in ("one", "", " two"):
            yield text

    asked = Scene().answer(yields)

    assert asked.heard.deltas == ["one", " two"]
    assert asked.heard.completed is not None


def test_what_an_agent_logs_says_in_which_call(caplog: pytest.LogCaptureFixture) -> None:
    """And whose it is; the ids of the request and of the trace lead on from there."""

    async def logs(request: AgentRequest, context: AgentContext) -> str:
        context.log.warning("odd order", order=7)
        return "ok"

    Scene().answer(logs)

    (record,) = caplog.records
    assert record.__dict__["fields"] == {
        "request_id": "r1",
        "trace_id": "t1",
        "agent": "agent",
        "tenant": "acme",
        "order": 7,
    }


def test_an_agent_knows_what_is_asked_and_by_whom() -> None:
    """Request and context carry what the design says."""
    scene, seen = Scene(), []

    async def looks(request: AgentRequest, context: AgentContext) -> str:
        seen.append((request, context))
        return ""

    asked = scene.answer(looks)

    ((request, context),) = seen
    assert (request.input, request.user_id, request.labels) == ("hello", "u1", {"team": "search"})
    assert request.history == (Turn(Role.USER, "before"),)
    assert request.parameters == Parameters(temperature=0.5)
    assert (context.request_id, context.tenant, context.deadline) == ("r1", "acme", 1030.0)
    assert asked.heard.text == ""


def test_an_agents_deadline_is_the_latest_of_its_callers() -> None:
    """One that minds it would else give up on those who have joined, and have more time."""
    scene, deadlines, overtime = Scene(), list[float](), Overtime()

    async def looks_twice(_: AgentRequest, context: AgentContext) -> str:
        deadlines.append(context.deadline)
        overtime.grant(context.deadline + 15.0)
        deadlines.append(context.deadline)
        return "ok"

    scene.models.run(scene.agent(looks_twice)(replace(a_call(REQUEST, expires_at=1030.0), overtime=overtime)))

    assert deadlines == [1030.0, 1045.0]


def test_what_an_agent_writes_to_its_labels_stays_with_it() -> None:
    """The call's own are what the ledger and the providers are told."""
    scene = Scene()

    async def writes(request: AgentRequest, context: AgentContext) -> str:
        labels: Any = request.labels
        labels["mine"] = object()
        return (await context.models.ask("question")).output

    assert scene.answer(writes).error is None
    assert scene.a.calls[0].request.labels == REQUEST.labels == {"team": "search"}


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


def test_a_cancelled_caller_ends_everything() -> None:
    """Model calls under way, streams too, are cancelled with the call."""
    scene = Scene(HANGS, ("one ", HANGS))

    async def asks_twice(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(context.models.ask("question"))
            async for text in context.models.stream("question"):
                yield text

    async def main() -> Asked:
        task = asyncio.ensure_future(scene.ask(asks_twice))
        await scene.models.clock.sleep(1.0)
        task.cancel()
        return await task

    asked = scene.models.run(main())

    assert isinstance(asked.error, asyncio.CancelledError)
    assert scene.a.in_flight == 0
    assert [reason for _, reason in asked.attempts] == ["cancelled", "cancelled"]


Cleanup = Callable[[], Awaitable[str]]


async def raises_another() -> str:
    """Take a cancellation for an error of its own."""
    raise ConnectionError("wrapped")


async def answers_all_the_same() -> str:
    """Take no end for one."""
    return "late"


async def goes_on() -> str:
    """Take its time, and then answer."""
    await asyncio.sleep(10.0)
    return "much too late"


async def goes_on_and_fails() -> str:
    """Take its time, and then fail."""
    await asyncio.sleep(10.0)
    raise ConnectionError("wrapped")


@pytest.mark.parametrize(
    ("cleanup", "said"),
    [
        (raises_another, ["an agent failed after its caller had left"]),
        (answers_all_the_same, ["an agent failed after its caller had left"]),
        (goes_on, ["an agent goes on though its call is over", "an agent failed after its caller had left"]),
        (goes_on_and_fails, ["an agent goes on though its call is over", "an agent failed after its caller had left"]),
    ],
)
@pytest.mark.parametrize("yields", [False, True], ids=["returns", "yields"])
def test_a_call_ends_whatever_the_agent_makes_of_being_cancelled(
    cleanup: Cleanup, said: list[str], caplog: pytest.LogCaptureFixture, *, yields: bool
) -> None:
    """After a second for its cleanup; what it says then reaches nobody, and what it raises the log."""
    scene = Scene()

    async def returning(request: AgentRequest, context: AgentContext) -> str:
        try:
            await asyncio.sleep(1000.0)
        except asyncio.CancelledError:
            return await cleanup()
        return ""

    async def yielding(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        yield await returning(request, context)

    async def main() -> tuple[Asked, float]:
        asked, took = await scene.cancelled(yielding if yields else returning)
        await scene.models.clock.sleep(60.0)
        return asked, took

    asked, took = scene.models.run(main())

    assert isinstance(asked.error, asyncio.CancelledError)
    assert took <= LINGER + 0.01
    assert (asked.heard.deltas, asked.heard.completed) == ([], None)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", each) for each in said
    ]
    assert caplog.records[0].__dict__["fields"].items() >= {"request_id": "r1", "agent": "agent"}.items()
    error = caplog.records[-1].__dict__["fields"]["error"]
    assert error.startswith(("ConnectionError: wrapped", "RuntimeError: the call is over"))


def test_an_agent_whose_caller_has_left_can_ask_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for what another try would cost."""
    scene = Scene(HANGS)

    async def tries_again(request: AgentRequest, context: AgentContext) -> str:
        try:
            return (await context.models.ask("question")).output
        except asyncio.CancelledError:
            return (await context.models.ask("question", route="other")).output

    asked, took = scene.models.run(scene.cancelled(tries_again))

    assert isinstance(asked.error, asyncio.CancelledError)
    assert took < 0.01
    assert (len(scene.a.calls), scene.b.calls, scene.a.in_flight) == (1, [], 0)
    assert "its caller has left" in caplog.records[-1].__dict__["fields"]["error"]


def test_what_an_agent_that_goes_on_has_asked_is_ended() -> None:
    """It had its second."""
    scene = Scene(HANGS)
    left = []

    async def shields(request: AgentRequest, context: AgentContext) -> str:
        left.append(asyncio.ensure_future(context.models.ask("question")))
        while not left[0].done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(left[0])
        return await goes_on()

    async def main() -> tuple[Asked, float, int]:
        asked, took = await scene.cancelled(shields)
        return asked, took, scene.a.in_flight

    asked, took, in_flight = scene.models.run(main())

    assert isinstance(asked.error, asyncio.CancelledError)
    assert took <= LINGER + 0.01
    assert in_flight == 0
    assert asked.attempts == [("a", "cancelled")]


def test_what_a_cancelled_agent_used_is_settled_however_long_that_takes(caplog: pytest.LogCaptureFixture) -> None:
    """The agent waits for it, nobody cancels that, and it is not blamed for it."""
    models = MeteredCalls()
    models.ledger.close_takes = 5 * LINGER
    scene = Scene(HANGS, models=models)

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask("question")).output

    async def main() -> tuple[Asked, list[EntryStatus]]:
        asked, _ = await scene.cancelled(asks)
        return asked, [entry.status for entry in models.ledger.entries]

    asked, statuses = models.run(main())

    assert asked.attempts == [("a", "cancelled")]
    assert statuses == [EntryStatus.CANCELLED]
    assert caplog.messages == []
    models.assert_settled(scene.a)


@pytest.mark.parametrize("yields", [False, True], ids=["asks", "streams"])
def test_its_model_calls_end_before_a_cancelled_agent_has_cleaned_up(*, yields: bool) -> None:
    """Also those that it does not wait for: each costs as long as it goes on."""
    scene = Scene(HANGS)

    async def asks(context: AgentContext) -> None:
        if yields:
            async for _ in context.models.stream("question"):
                pass
        else:
            await context.models.ask("question")

    async def in_the_background(request: AgentRequest, context: AgentContext) -> str:
        asking = asyncio.create_task(asks(context))
        try:
            await asyncio.sleep(1000.0)
        finally:
            since = scene.models.clock.monotonic()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            took.append(scene.models.clock.monotonic() - since)
            await asyncio.sleep(LINGER / 2)
        return ""

    took: list[float] = []

    asked, _ = scene.models.run(scene.cancelled(in_the_background))

    assert took == [pytest.approx(0.0)]
    assert asked.attempts == [("a", "cancelled")]


def test_an_agent_that_is_cancelled_twice_is_told_of_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """By its limit, and by its caller who leaves then."""
    scene = Scene(HANGS)

    async def stubborn(request: AgentRequest, context: AgentContext) -> str:
        asking = asyncio.create_task(context.models.ask("question"))
        try:
            await asyncio.sleep(1000.0)
        finally:
            await asyncio.sleep(10.0)
        return (await asking).output

    async def main() -> tuple[Asked, int]:
        task = asyncio.create_task(scene.ask(stubborn))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.sleep(LINGER / 2)
        task.cancel()
        asked = await task
        return asked, scene.a.model.permits.in_flight

    asked, in_flight = scene.models.run(main())

    assert asked.attempts == [("a", "cancelled")]
    assert in_flight == 0
    assert caplog.messages == ["an agent goes on though its call is over"]


def test_an_agent_of_which_too_many_calls_go_on_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until one of them has ended."""
    monkeypatch.setattr(foreign_tasks, "MOST_LEFT", 1)
    scene = Scene()

    async def goes_on_at_first(request: AgentRequest, context: AgentContext) -> str:
        try:
            await asyncio.sleep(5.0)
        except asyncio.CancelledError:
            await asyncio.sleep(10.0)
        return "text"

    async def main() -> list[Asked]:
        agent = scene.agent(goes_on_at_first)
        task = asyncio.create_task(scene.ask_agent(agent))
        await asyncio.sleep(1.0)
        task.cancel()
        await task
        refused = [await scene.ask_agent(agent) for _ in range(10)]
        await asyncio.sleep(10.0)
        return [*refused, await scene.ask_agent(agent)]

    *refused, answered = scene.models.run(main())

    assert {type(asked.error) for asked in refused} == {Overloaded}
    delays = {asked.refusal.retry_after or 0.0 for asked in refused}
    assert len(delays) > 1, "they would all come back at once"
    assert all(LINGER / 2 <= delay <= 1.5 * LINGER for delay in delays)
    assert answered.heard.deltas == ["text"]


def test_an_agent_runs_in_its_calls_context() -> None:
    """Traces are found by it, and so may be what a library keeps there."""
    seen: list[str] = []
    kept: ContextVar[str] = ContextVar("kept", default="")

    async def looks(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        seen.append(kept.get())
        yield ""

    async def main() -> None:
        kept.set("the call's")
        await scene.ask(looks)

    scene = Scene()
    scene.models.run(main())

    assert seen == ["the call's"]


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


def test_errors_of_ours_pass_out_of_a_task_group() -> None:
    """The caller is told of the models, not of groups, however deep they nest."""
    scene = Scene(Rejected("400"), Rejected("400"))

    async def asks_both(request: AgentRequest, context: AgentContext) -> str:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(nested(context))
        return ""

    async def nested(context: AgentContext) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(context.models.ask("question"))

    asked = scene.answer(asks_both)

    assert asked.refusal.reason == "UPSTREAM_REJECTED"


def test_a_group_without_an_error_of_ours_stays_a_group() -> None:
    """Whatever else it holds is unforeseen."""

    async def fails(request: AgentRequest, context: AgentContext) -> str:
        raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])

    assert isinstance(Scene().answer(fails).error, ExceptionGroup)


def test_an_error_of_ours_passes_unchanged() -> None:
    """As a model call raised it."""
    scene = Scene(*[Broken("reset")] * 2)

    async def asks(request: AgentRequest, context: AgentContext) -> str:
        return (await context.models.ask("question")).output

    assert isinstance(scene.answer(asks).error, ModelsUnavailable)


@pytest.mark.parametrize("text", [None, 1, b"bytes", ["list"]])
def test_a_text_must_be_a_str(text: object) -> None:
    """Anything else is the function's mistake, returned or yielded."""

    async def returns(request: AgentRequest, context: AgentContext) -> Any:  # noqa: ANN401
        return text

    async def yields(request: AgentRequest, context: AgentContext) -> AsyncIterator[Any]:
        yield text

    assert isinstance(Scene().answer(returns).error, TypeError)
    assert isinstance(Scene().answer(yields).error, TypeError)


class Quit(BaseException):
    """What a library might end its own work with."""


@pytest.mark.parametrize("error", [SystemExit(2), KeyboardInterrupt(), GeneratorExit(), Quit()], ids=repr)
def test_an_agent_that_exits_does_not_take_the_daemon_along(error: BaseException) -> None:
    """SystemExit would end the event loop and everybody's calls with it; returned or yielded, it is an error."""

    async def exits(request: AgentRequest, context: AgentContext) -> str:
        raise error

    async def exits_late(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
        yield "so far"
        raise error

    for function in (exits, exits_late):
        raised = Scene().answer(function).error
        assert isinstance(raised, RuntimeError)
        assert raised.__cause__ is error


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
    models.ledger.close_takes = 1.0
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


def test_a_generator_that_is_not_read_to_its_end_is_closed() -> None:
    """Its cleanup runs before the call ends."""
    ended: list[bool] = []

    async def cleans_up(request: AgentRequest, context: AgentContext) -> AsyncIterator[object]:
        try:
            yield 1
        finally:
            ended.append(True)

    Scene().answer(cleans_up)  # type: ignore[arg-type]  # it yields what it must not

    assert ended == [True]


def test_an_agent_describes_itself() -> None:
    """Models in the route's order, and whether text comes in pieces."""
    scene = Scene()

    assert scene.agent(agent_functions.replies).models == ["a"]
    assert not scene.agent(agent_functions.replies).streams
    assert scene.agent(agent_functions.yields).streams


@pytest.mark.parametrize("name", ["takes_three_at_will", "gives_three"])
def test_what_two_arguments_are_enough_for_is_an_agent(name: str) -> None:
    """A default stands in for more, and so does a decorator, whatever it wraps takes."""
    assert load_function(f"fakes.agent_functions:{name}") is getattr(agent_functions, name)


@pytest.mark.parametrize("name", ["replies", "yields"])
def test_a_function_is_loaded_by_its_path(name: str) -> None:
    """Coroutine functions and async generator functions are agents."""
    loaded = load_function(f"fakes.agent_functions:{name}")

    assert inspect.unwrap(loaded) is getattr(agent_functions, name)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("fakes.agent_functions:plain", "neither an `async def` function nor an async generator"),
        ("fakes.agent_functions:NOT_CALLABLE", "neither an `async def` function nor an async generator"),
        (
            "fakes.agent_functions:takes_one",
            "must take two arguments, the request and its context: too many positional arguments",
        ),
        ("fakes.agent_functions:takes_three", "the request and its context: missing a required argument: 'more'"),
        ("fakes.agent_functions:takes_a_name", "the request and its context: missing a required "),
        ("fakes.agent_functions:missing", "has no attribute 'missing'"),
        ("fakes.nowhere:run", "No module named 'fakes.nowhere'"),
        ("fakes.broken_module:run", "RuntimeError: the database is down"),
        ("fakes.exiting_module:run", "cannot import 'fakes.exiting_module:run': SystemExit: 3"),
        ("fakes.interrupting_module:run", "cannot import 'fakes.interrupting_module:run': KeyboardInterrupt"),
        ("fakes.agent_functions", "cannot import"),
        ("", "cannot import"),
    ],
)
def test_what_cannot_be_loaded_says_why(path: str, complaint: str) -> None:
    """One ValueError with the path and the reason, whatever the module raised."""
    with pytest.raises(ValueError, match=r".") as raised:
        load_function(path)

    assert complaint in str(raised.value)
