"""What an attempt's ending tells its model's breaker."""

import asyncio

import pytest

from fakes.model_calls import Asked, ModelCalls
from fakes.scripted_model import HANGS, Answer, Thought
from penstockd.call import Reply
from penstockd.resilience.circuit import BreakerPolicy, State
from penstockd.upstream import (
    Broken,
    CoolingDown,
    Filtered,
    Misconfigured,
    QuotaSpent,
    Rejected,
    TimedOut,
    ToolCalled,
    TooLong,
    UpstreamFailure,
)

OPENS_AT_ONCE = BreakerPolicy(consecutive_failures=1, open_for=5.0, jitter=0.0, probe_timeout=30.0)
DEAD = Broken("reset", reason="reset")


@pytest.fixture
def calls() -> ModelCalls:
    """Model calls without repeats, so that each test looks at one attempt."""
    return ModelCalls(max_attempts=1)


@pytest.mark.parametrize("failure", [DEAD, TimedOut("slow")], ids=repr)
def test_a_failure_of_the_models_own_opens(calls: ModelCalls, failure: UpstreamFailure) -> None:
    """The cause is the failure's reason, and whoever watches is told."""
    a = calls.model("a", failure, policy=OPENS_AT_ONCE)

    calls.answer(a)

    assert a.model.breaker.state is State.OPEN
    assert a.model.breaker.cause == failure.reason
    assert [(name, change.new, change.cause) for name, change in calls.changes] == [("a", State.OPEN, failure.reason)]


@pytest.mark.parametrize(
    "failure",
    [Rejected("400"), Filtered("no"), TooLong("8k"), QuotaSpent("no credit"), ToolCalled("find"), KeyError("bug")],
    ids=repr,
)
def test_what_is_not_the_models_fault_is_not_counted(calls: ModelCalls, failure: Exception) -> None:
    """Neither success nor failure: the next probe is as likely as before."""
    a = calls.model("a", failure, policy=OPENS_AT_ONCE)

    calls.answer(a)

    assert a.model.breaker.state is State.CLOSED
    assert a.model.breaker.record.error_rate == 0.0
    assert a.model.time_to_first_content is None
    assert calls.changes == []


def test_long_answers_and_short_deadlines_open_no_circuit(calls: ModelCalls) -> None:
    """A caller's short deadline is neither success nor failure, however long the model was silent until then."""
    a = calls.model("a", *[(40.0, "a long answer")] * 5, (0.5, "at once"))

    async def main() -> Asked:
        for _ in range(5):
            await calls.ask(a, streams=False, within=30.0)
        return await calls.ask(a, streams=True, within=60.0)

    assert calls.run(main()).error is None
    assert calls.changes == []


def test_a_deadline_before_any_first_token_says_nothing_of_a_model(calls: ModelCalls) -> None:
    """Also of one that is known by its streams alone: a whole answer takes as long at least."""
    a = calls.model("a", (0.5, "first"), (5.0, "whole"))

    async def main() -> None:
        await calls.ask(a, streams=True)
        await calls.ask(a, streams=False, within=0.3)

    calls.run(main())
    assert a.model.breaker.record.futility == 0.0


def test_first_tokens_are_not_mixed_with_whole_answers(calls: ModelCalls) -> None:
    """Who looks at a model sees how soon its streams begin; of one that makes none, how soon answers are there."""
    a = calls.model("a", (8.0, "whole"), (0.5, "first", 7.5, "rest"), (8.0, "whole"))

    async def main() -> list[float | None]:
        shown = []
        for streams in (False, True, False):
            await calls.ask(a, streams=streams)
            shown.append(a.model.time_to_first_content)
        return shown

    assert calls.run(main()) == [pytest.approx(8.0), pytest.approx(0.5), pytest.approx(0.5)]
    assert a.model.whole_answers.ewma == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("failure", "futility"),
    [
        (QuotaSpent("no credit"), 1.0),
        (ToolCalled("find"), 1.0),
        (CoolingDown("429"), 1.0),
        (DEAD, 1.0),
        (Rejected("400"), 0.0),
        (Filtered("no"), 0.0),
        (TooLong("8k"), 0.0),
        (KeyError("bug"), 0.0),
    ],
    ids=repr,
)
def test_an_attempt_came_to_nothing_unless_its_request_was_at_fault(
    calls: ModelCalls, failure: Exception, futility: float
) -> None:
    """Whoever chooses among models is not to be told that one without credit is well."""
    a = calls.model("a", failure)

    calls.answer(a)

    assert a.model.breaker.record.futility == futility


@pytest.mark.parametrize(("within", "futility"), [(8.0, 1 / 2), (2.0, 0.0)])
def test_silence_came_to_nothing_if_it_was_longer_than_usual(calls: ModelCalls, within: float, futility: float) -> None:
    """A caller in a hurry says nothing about a model that takes 3 s; one who waited for longer does."""
    a = calls.model("a", (3.0, "text"), HANGS)

    async def main() -> None:
        await calls.ask(a)
        await calls.ask(a, within=within)

    calls.run(main())

    assert a.model.breaker.record.futility == futility
    assert a.model.breaker.record.error_rate == 0.0


def test_a_misconfigured_model_opens_for_minutes(calls: ModelCalls) -> None:
    """A rejected key is no matter of luck: five minutes, after one answer."""
    a = calls.model("a", Misconfigured("401"))

    calls.answer(a)

    assert a.model.breaker.state is State.OPEN
    assert a.model.breaker.wait() == pytest.approx(300.0)
    assert [change.cause for _, change in calls.changes] == ["misconfigured"]


def test_a_cooldown_is_no_failure(calls: ModelCalls) -> None:
    """The model is left alone for as long as it asks, and its circuit stays closed."""
    a = calls.model("a", CoolingDown("429", retry_after=7.0), policy=OPENS_AT_ONCE)

    calls.answer(a)

    assert a.model.breaker.state is State.CLOSED
    assert a.model.breaker.wait() == pytest.approx(7.0)
    assert a.model.breaker.record.error_rate == 0.0


def test_the_verdict_is_given_at_the_first_content(calls: ModelCalls) -> None:
    """Before the rest of the answer has come, the model counts as alive, with the time its first content took."""
    a = calls.model("a", (2.0, "Once", 60.0, "upon"), policy=OPENS_AT_ONCE)

    async def main() -> float | None:
        task = asyncio.ensure_future(calls.ask(a, within=100.0))
        await calls.clock.sleep(3.0)
        seen = a.model.time_to_first_content
        task.cancel()
        await task
        return seen

    assert calls.run(main()) == pytest.approx(2.0)


def test_a_thought_is_no_verdict(calls: ModelCalls) -> None:
    """The text that comes after it is, and the time until then."""
    a = calls.model("a", (2.0, Thought(8), 2.0, "Once"))

    asked = calls.answer(a)

    [attempt] = asked.outcome.attempts
    assert attempt.asked_at is not None
    assert attempt.first_chunk_at == pytest.approx(attempt.asked_at + 4.0)
    assert a.model.time_to_first_content == pytest.approx(4.0)


def test_a_later_break_counts_as_a_failure_of_its_own(calls: ModelCalls) -> None:
    """Success at the first content, then a failure: one of two."""
    a = calls.model("a", ("Once", DEAD))

    calls.answer(a)

    assert a.model.breaker.record.error_rate == pytest.approx(0.5)


def test_a_success_is_counted_once(calls: ModelCalls) -> None:
    """However many pieces an answer has, it is one success."""
    a = calls.model("a", ("Once", "upon", "a", "time"), DEAD)

    async def main() -> None:
        await calls.ask(a)
        await calls.ask(a)

    calls.run(main())

    assert a.model.breaker.record.error_rate == pytest.approx(0.5)


@pytest.mark.parametrize("script", [(HANGS,), ("Once", HANGS)])
def test_a_callers_cancel_is_nobodys_fault(calls: ModelCalls, script: Answer) -> None:
    """Before content and after it."""
    a = calls.model("a", script, policy=OPENS_AT_ONCE)

    calls.run(calls.cancelled(a, after=1.0))

    assert a.model.breaker.state is State.CLOSED
    assert a.model.breaker.record.error_rate == 0.0


def test_a_callers_broken_send_is_nobodys_fault(calls: ModelCalls) -> None:
    """The model has answered; that nobody takes it is not its affair."""
    a = calls.model("a", policy=OPENS_AT_ONCE)

    async def gone(reply: Reply) -> None:
        raise ConnectionResetError

    calls.answer(a, send=lambda _: gone)

    assert a.model.breaker.record.error_rate == 0.0
    assert a.model.time_to_first_content == 0.0


def test_half_open_lets_one_probe_pass(calls: ModelCalls) -> None:
    """Of a hundred callers one reaches the model; the others are told at once to come back."""
    a = calls.model("a", DEAD, (1.0, "text"), (1.0, "text"), policy=OPENS_AT_ONCE)

    async def main() -> list[Asked]:
        await calls.ask(a)
        await calls.clock.sleep(5.0)
        return await asyncio.gather(*(calls.ask(a) for _ in range(100)))

    asked = calls.run(main())

    assert len(a.calls) == 2
    assert sum(each.error is None for each in asked) == 1
    assert max(each.seconds for each in asked if each.error) == 0.0
    assert [change.new for _, change in calls.changes] == [State.OPEN, State.HALF_OPEN]


def test_two_probes_that_answer_close_the_circuit(calls: ModelCalls) -> None:
    """Each change of state is told once."""
    a = calls.model("a", DEAD, policy=OPENS_AT_ONCE)

    async def main() -> None:
        await calls.ask(a)
        await calls.clock.sleep(5.0)
        await calls.ask(a)
        await calls.ask(a)

    calls.run(main())

    assert [change.new for _, change in calls.changes] == [State.OPEN, State.HALF_OPEN, State.CLOSED]


@pytest.mark.parametrize("last", [HANGS, Rejected("400"), CoolingDown("429", retry_after=0.1)], ids=repr)
def test_a_probe_without_a_verdict_gives_its_place_back(calls: ModelCalls, last: Answer) -> None:
    """Cancelled, rejected or cooling down, nobody learned anything: the next caller probes."""
    a = calls.model("a", DEAD, last, policy=OPENS_AT_ONCE)

    async def main() -> Asked:
        await calls.ask(a)
        await calls.clock.sleep(5.0)
        await calls.cancelled(a, after=1.0)
        return await calls.ask(a)

    asked = calls.run(main())

    assert asked.heard.text == "ok"
    assert a.model.breaker.state is State.HALF_OPEN


def test_a_probe_that_breaks_after_its_first_content_reopens(calls: ModelCalls) -> None:
    """Half of an answer is no sign of health."""
    a = calls.model("a", DEAD, ("Once", DEAD), policy=OPENS_AT_ONCE)

    async def main() -> None:
        await calls.ask(a)
        await calls.clock.sleep(5.0)
        await calls.ask(a)

    calls.run(main())

    assert a.model.breaker.state is State.OPEN


def test_a_late_result_of_an_older_state_is_ignored(calls: ModelCalls) -> None:
    """A call that began before the circuit opened has nothing to say about its recovery."""
    a = calls.model("a", (6.0, DEAD), DEAD, policy=OPENS_AT_ONCE)

    async def main() -> None:
        late = asyncio.ensure_future(calls.ask(a))
        await asyncio.sleep(0)
        await calls.ask(a)
        await calls.clock.sleep(5.5)
        await calls.ask(a)
        await late

    calls.run(main())

    assert a.model.breaker.state is State.HALF_OPEN
