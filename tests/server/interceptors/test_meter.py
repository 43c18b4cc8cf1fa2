"""The meter holds before an attempt and settles after it, exactly once however it ends."""

import asyncio
from collections.abc import Callable

import pytest

from fakes.calls import nowhere
from fakes.metering import ESTIMATE, HOLD, INPUT, MeteredCalls, a_budget, left
from fakes.model_calls import Asked
from fakes.scripted_model import HANGS, Answer, Thought
from penstockd.call import Completed, Reply, Send
from penstockd.errors import PenstockError
from penstockd.ledger import EntryStatus
from penstockd.limits import Amounts, BudgetState
from penstockd.outcome import FinishReason
from penstockd.principal import Principal
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.rules import Caller, LimitRule, Per, Rate, TenantRules
from penstockd.upstream import Broken, Misconfigured
from penstockd.usage import Usage

USED = Usage(uncached_input=4, cached_input=2, cache_write_input=1, output=3)
COST = 4 * 2 + 2 * 1 + 1 * 3 + 3 * 5
OK, FAILED, CANCELLED, HELD = EntryStatus.OK, EntryStatus.FAILED, EntryStatus.CANCELLED, EntryStatus.HELD
PLENTY = 100 * ESTIMATE
CALLER = Caller(principal=Principal(tenant="acme"), user_id="", agent="support")


def test_an_attempt_is_held_before_it_is_made_and_settled_after() -> None:
    """While it runs, its estimate is on the ledger and the most it may cost in the budget; then the truth is."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", [1.0, "hi", USED], allowance=calls.grant())

    async def watched() -> tuple[object, BudgetState, BudgetState]:
        call = asyncio.ensure_future(calls.ask(model))
        await calls.clock.sleep(0.5)
        meanwhile, before = calls.written, await calls.budget()
        await call
        return meanwhile, before, await calls.settled()

    meanwhile, before, after = calls.run(watched())

    assert meanwhile == [("a", HELD, ESTIMATE, True)]
    assert before == BudgetState(spent=0, held=HOLD)
    assert after == BudgetState(spent=COST, held=0)
    assert calls.written == [("a", OK, COST, False)]
    assert left(model) == (9, 1000 - USED.total)
    calls.assert_settled(model)


def test_a_limit_of_tokens_is_charged_what_was_used() -> None:
    """Of what was held for the attempt the rest comes back."""
    tokens = LimitRule(per=Per.TENANT, tokens=Rate(per_second=1e-9, burst=1000, text="1000/y"))
    calls = MeteredCalls(TenantRules(limits=[tokens]))

    async def fits() -> list[bool]:
        await calls.ask(calls.model("a", ["hi", USED]))
        demands = calls.in_use.attempt(CALLER, now=0.0)
        rest, another = (Amounts(of_rates=tokens) for tokens in (1000 - USED.total, 1))
        return [(await calls.store.hold(str(asked), demands, asked)).denial is None for asked in (rest, another)]

    assert calls.run(fits()) == [True, False]


def test_the_answer_is_on_the_ledger_before_the_caller_has_it() -> None:
    """The last reply waits for the commit; text does not."""
    calls = MeteredCalls()
    calls.ledger.settle_takes = 1.0
    seen: list[tuple[str, float, list[EntryStatus]]] = []

    def noting(asked: Asked) -> Send:
        async def send(reply: Reply) -> None:
            seen.append((type(reply).__name__, calls.clock.monotonic(), [each.status for each in calls.ledger.entries]))

        return send

    calls.answer(calls.model("a", ["hi", USED]), send=noting)

    assert seen == [("Delta", 1000.0, [HELD]), ("Completed", 1001.0, [OK])]


@pytest.mark.parametrize(
    ("script", "status", "cost", "is_estimated"),
    [
        (["hi", USED], OK, COST, False),
        (["four" * 6], OK, 2 * INPUT + 5 * 6, True),
        (Misconfigured("401"), FAILED, 0, False),
        ([Broken("reset", reason="connection_reset")], FAILED, 2 * INPUT, True),
        (["four" * 6, Broken("cut", reason="truncated")], FAILED, 2 * INPUT + 5 * 6, True),
        ([Thought(21), Broken("cut", reason="truncated")], FAILED, 2 * INPUT + 5 * 6, True),
        ([USED, "four" * 6, Broken("cut", reason="truncated")], FAILED, COST - 3 * 5 + 6 * 5, True),
    ],
    ids=[
        "counted",
        "not counted",
        "unbilled",
        "broken before text",
        "cut",
        "cut while it thought",
        "cut after a count",
    ],
)
def test_what_an_ending_costs(script: Answer, status: EntryStatus, cost: int, *, is_estimated: bool) -> None:
    """The provider's count, else what it should come to; budget, ledger and outcome agree."""
    calls = MeteredCalls(a_budget(PLENTY), max_attempts=1)
    model = calls.model("a", script, allowance=calls.grant())

    async def asked() -> tuple[Asked, BudgetState]:
        return await calls.ask(model, within=1.0), await calls.settled()

    call, budget = calls.run(asked())

    assert calls.written[0] == ("a", status, cost, is_estimated)
    assert budget == BudgetState(spent=calls.ledger.cost, held=0)
    assert call.outcome.cost_nanousd == calls.ledger.cost
    assert call.outcome.is_estimated == any(entry.is_estimated for entry in calls.ledger.entries)
    calls.assert_settled(model)


PHASES: dict[str, tuple[Callable[[MeteredCalls], None], Answer, list[object]]] = {
    "opening": (lambda calls: setattr(calls.ledger, "hold_takes", 2.0), "hi", []),
    "before text": (lambda calls: None, HANGS, [("a", CANCELLED, 2 * INPUT, True)]),
    "after text": (lambda calls: None, ["12345678", HANGS], [("a", CANCELLED, 2 * INPUT + 5 * 2, True)]),
    "settling": (lambda calls: setattr(calls.ledger, "settle_takes", 2.0), ["hi", USED], [("a", OK, COST, False)]),
    "settling a failure": (
        lambda calls: setattr(calls.ledger, "settle_takes", 2.0),
        Misconfigured("401"),
        [("a", FAILED, 0, False)],
    ),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_caller_who_leaves_is_settled_in_every_phase(phase: str) -> None:
    """Once, and to its end, although nobody waits for it; what was never sent leaves no trace."""
    prepare, script, expected = PHASES[phase]
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", script, allowance=calls.grant())
    prepare(calls)

    async def cancelled() -> tuple[Asked, BudgetState]:
        return await calls.cancelled(model, after=1.0), await calls.settled()

    call, budget = calls.run(cancelled())

    assert isinstance(call.error, asyncio.CancelledError)
    assert call.heard.completed is None
    assert calls.written == expected
    assert budget == BudgetState(spent=calls.ledger.cost, held=0)
    used = sum(entry.usage.total for entry in calls.ledger.entries)
    assert left(model) == (10 - len(expected), 1000 - used)
    calls.assert_settled(model)


def test_a_caller_who_leaves_twice_is_settled_once() -> None:
    """The second cancel comes while the first one's settlement is being written."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.settle_takes = 2.0
    model = calls.model("a", ["12345678", HANGS])

    async def cancelled_twice() -> None:
        call = asyncio.ensure_future(calls.ask(model))
        await calls.clock.sleep(1.0)
        call.cancel()
        await calls.clock.sleep(1.0)
        call.cancel()
        await asyncio.wait([call])
        await calls.settlements.idle()

    calls.run(cancelled_twice())

    assert calls.written == [("a", CANCELLED, 2 * INPUT + 5 * 2, True)]
    calls.assert_settled(model)


def test_a_caller_who_leaves_takes_nothing_along_of_what_a_distant_store_settles() -> None:
    """Neither the budget's settling nor the ledger's."""
    calls = MeteredCalls(a_budget(PLENTY), settle_takes=2.0)
    model = calls.model("a", ["hi", USED])

    async def cancelled() -> tuple[Asked, BudgetState]:
        return await calls.cancelled(model, after=1.0), await calls.settled()

    call, budget = calls.run(cancelled())

    assert isinstance(call.error, asyncio.CancelledError)
    assert calls.written == [("a", OK, COST, False)]
    assert budget == BudgetState(spent=COST, held=0)
    calls.assert_settled(model)


def test_the_ledger_is_asked_until_the_call_ends() -> None:
    """One that stands still is to be told of in time."""
    calls = MeteredCalls()
    began = calls.clock.monotonic()

    calls.answer(calls.model("a", ["text", USED]), within=7.0)

    assert calls.ledger.asked_until == began + 7.0


def test_an_attempt_that_its_circuit_does_not_admit_costs_nothing() -> None:
    """It is no attempt of the call's, and all that it took is given back."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.hold_takes = 1.0
    policy = BreakerPolicy(consecutive_failures=1, open_for=1000.0)
    model = calls.model("a", Broken("503", reason="server_error"), policy=policy, allowance=calls.grant())

    async def both() -> tuple[Asked, Asked]:
        first = asyncio.ensure_future(calls.ask(model))
        await calls.clock.sleep(0.5)
        late = await calls.ask(model)
        return await first, late

    first, late = calls.run(both())

    assert first.attempts == [("a", "server_error")]
    assert late.attempts == []
    assert isinstance(late.refusal, PenstockError)
    assert {(status, cost, is_estimated) for _, status, cost, is_estimated in calls.written} == {(FAILED, 0, False)}
    assert left(model) == (9, 1000)
    calls.assert_settled(model)


def test_a_count_that_is_not_of_the_whole_answer_is_no_last_word() -> None:
    """The rest is charged by what was heard."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", ["four" * 6, 1.0])

    async def partly_counted() -> None:
        call = asyncio.ensure_future(calls.ask(model, send=lambda asked: nowhere))
        await calls.clock.sleep(0.5)
        await model.calls[0].send(Completed(finish_reason=FinishReason.STOP, usage=USED, is_counted=False))
        await call

    calls.run(partly_counted())

    assert calls.written == [("a", OK, COST - 3 * 5 + 6 * 5, True)]
    calls.assert_settled(model)


def test_a_provider_that_completes_twice_is_settled_once() -> None:
    """What it does wrong is not paid twice."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", ["hi", USED])

    async def completed_twice() -> Asked:
        call = await calls.ask(model, send=lambda asked: nowhere)
        await model.calls[0].send(Completed(finish_reason=FinishReason.STOP, usage=USED))
        return call

    call = calls.run(completed_twice())

    assert call.error is None
    assert calls.written == [("a", OK, COST, False)]
    calls.assert_settled(model)
