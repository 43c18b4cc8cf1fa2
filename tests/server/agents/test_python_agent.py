"""A Python function answers calls, and ends with them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.calls import a_call
from fakes.metering import MeteredCalls
from fakes.model_calls import Asked
from fakes.python_agents import REQUEST, Scene
from fakes.scripted_model import HANGS
from imported import agent_functions
from penstockd import foreign_tasks
from penstockd.agents.context import AgentContext, AgentRequest
from penstockd.errors import ModelsUnavailable, Overloaded
from penstockd.foreign_tasks import TIME_TO_END
from penstockd.ledger import EntryStatus
from penstockd.request import Parameters, Role, Turn
from penstockd.resilience.overtime import Overtime
from penstockd.upstream import Broken, Rejected
from penstockd.usage import Usage


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
    assert took <= TIME_TO_END + 0.01
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
    assert took <= TIME_TO_END + 0.01
    assert in_flight == 0
    assert asked.attempts == [("a", "cancelled")]


def test_what_a_cancelled_agent_used_is_settled_however_long_that_takes(caplog: pytest.LogCaptureFixture) -> None:
    """The agent waits for it, nobody cancels that, and it is not blamed for it."""
    models = MeteredCalls()
    models.ledger.settle_takes = 5 * TIME_TO_END
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
            await asyncio.sleep(TIME_TO_END / 2)
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
        await asyncio.sleep(TIME_TO_END / 2)
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
    assert all(TIME_TO_END / 2 <= delay <= 1.5 * TIME_TO_END for delay in delays)
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
