"""The meter holds before an attempt and settles after it, exactly once however it ends."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from fakes.calls import nowhere
from fakes.metering import ESTIMATE, INPUT, OUTPUT, MeteredCalls, a_budget
from fakes.model_calls import Asked
from fakes.scripted_model import HANGS, Answer, ScriptedModel
from penstockd.call import Completed, Reply, Send
from penstockd.errors import AccountingUnavailable, BudgetExhausted, PenstockError, PriceUnknown
from penstockd.interceptors.price_alarm import SILENCE
from penstockd.ledger import EntryStatus, LedgerUnavailable
from penstockd.limits import BudgetState, Demand, StoreUnavailable, Verdict
from penstockd.outcome import FinishReason
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.resilience.token_bucket import TokenBucket
from penstockd.upstream import Broken, Misconfigured
from penstockd.usage import Usage

USED = Usage(uncached_input=4, cached_input=2, cache_write_input=1, output=3)
COST = 4 * 2 + 2 * 1 + 1 * 3 + 3 * 5
OK, FAILED, CANCELLED, HELD = EntryStatus.OK, EntryStatus.FAILED, EntryStatus.CANCELLED, EntryStatus.HELD
PLENTY = 100 * ESTIMATE
LEDGER_GONE = LedgerUnavailable("the disk is full")


def granted(calls: MeteredCalls) -> Allowance:
    """What a provider grants: ten requests and 1,000 tokens, and hardly any more later."""
    return Allowance(requests=TokenBucket(1e-9, 10, calls.clock), tokens=TokenBucket(1e-9, 1000, calls.clock))


def left(model: ScriptedModel) -> tuple[int, int]:
    """Requests and tokens that are left of a grant."""
    allowance = model.model.allowance
    assert allowance.requests is not None
    assert allowance.tokens is not None
    return round(allowance.requests.remaining), round(allowance.tokens.remaining)


def rows(calls: MeteredCalls) -> list[tuple[str, EntryStatus, int | None, bool]]:
    """Model, status, cost and whether that is an estimate, of each row."""
    return [(entry.model, entry.status, entry.cost_nanousd, entry.is_estimated) for entry in calls.ledger.rows.values()]


def assert_settled(calls: MeteredCalls, *models: ScriptedModel) -> None:
    """Nothing is held any more, and each attempt was closed once."""
    assert calls.holds == "0 holds"
    assert [entry for entry in calls.ledger.entries if entry.status is HELD] == []
    assert len(calls.ledger.closed) == len(calls.ledger.rows)
    assert [model.in_flight for model in models] == [0] * len(models)


def test_an_attempt_is_held_before_it_is_made_and_settled_after() -> None:
    """While it runs, its estimate is on the ledger and in the budget; then the truth is."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", [1.0, "hi", USED], allowance=granted(calls))

    async def watched() -> tuple[object, BudgetState, BudgetState]:
        call = asyncio.ensure_future(calls.ask(model))
        await calls.clock.sleep(0.5)
        meanwhile, before = rows(calls), await calls.budget()
        await call
        return meanwhile, before, await calls.settled()

    meanwhile, before, after = calls.run(watched())

    assert meanwhile == [("a", HELD, ESTIMATE, True)]
    assert before == BudgetState(spent=0, held=ESTIMATE)
    assert after == BudgetState(spent=COST, held=0)
    assert rows(calls) == [("a", OK, COST, False)]
    assert left(model) == (9, 1000 - USED.total)
    assert_settled(calls, model)


def test_the_answer_is_on_the_ledger_before_the_caller_has_it() -> None:
    """The last reply waits for the commit; text does not."""
    calls = MeteredCalls()
    calls.ledger.close_takes = 1.0
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
        ([USED, "four" * 6, Broken("cut", reason="truncated")], FAILED, COST - 3 * 5 + 6 * 5, True),
    ],
    ids=["counted", "not counted", "unbilled", "broken before text", "cut", "cut after a count"],
)
def test_what_an_ending_costs(script: Answer, status: EntryStatus, cost: int, *, is_estimated: bool) -> None:
    """The provider's count, else what it should come to; budget, ledger and outcome agree."""
    calls = MeteredCalls(a_budget(PLENTY), max_attempts=1)
    model = calls.model("a", script, allowance=granted(calls))

    async def asked() -> tuple[Asked, BudgetState]:
        return await calls.ask(model, within=1.0), await calls.settled()

    call, budget = calls.run(asked())

    assert rows(calls)[0] == ("a", status, cost, is_estimated)
    assert budget == BudgetState(spent=calls.ledger.cost, held=0)
    assert call.outcome.cost_nanousd == calls.ledger.cost
    assert call.outcome.is_estimated == any(entry.is_estimated for entry in calls.ledger.entries)
    assert_settled(calls, model)


PHASES: dict[str, tuple[Callable[[MeteredCalls], None], Answer, list[object]]] = {
    "opening": (lambda calls: setattr(calls.ledger, "open_takes", 2.0), "hi", []),
    "before text": (lambda calls: None, HANGS, [("a", CANCELLED, 2 * INPUT, True)]),
    "after text": (lambda calls: None, ["12345678", HANGS], [("a", CANCELLED, 2 * INPUT + 5 * 2, True)]),
    "settling": (lambda calls: setattr(calls.ledger, "close_takes", 2.0), ["hi", USED], [("a", OK, COST, False)]),
    "settling a failure": (
        lambda calls: setattr(calls.ledger, "close_takes", 2.0),
        Misconfigured("401"),
        [("a", FAILED, 0, False)],
    ),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_caller_who_leaves_is_settled_in_every_phase(phase: str) -> None:
    """Once, and to its end, although nobody waits for it; what was never sent leaves no trace."""
    prepare, script, expected = PHASES[phase]
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", script, allowance=granted(calls))
    prepare(calls)

    async def cancelled() -> tuple[Asked, BudgetState]:
        return await calls.cancelled(model, after=1.0), await calls.settled()

    call, budget = calls.run(cancelled())

    assert isinstance(call.error, asyncio.CancelledError)
    assert call.heard.completed is None
    assert rows(calls) == expected
    assert budget == BudgetState(spent=calls.ledger.cost, held=0)
    used = sum(entry.usage.total for entry in calls.ledger.entries)
    assert left(model) == (10 - len(expected), 1000 - used)
    assert_settled(calls, model)


def test_a_caller_who_leaves_twice_is_settled_once() -> None:
    """The second cancel comes while the first one's settlement is being written."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.close_takes = 2.0
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

    assert rows(calls) == [("a", CANCELLED, 2 * INPUT + 5 * 2, True)]
    assert_settled(calls, model)


def test_a_ledger_that_takes_nothing_refuses_the_attempt() -> None:
    """Nothing is sent, and nothing stays held, taken or in flight."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.open_fails = [LEDGER_GONE]
    model = calls.model("a", allowance=granted(calls))

    async def asked() -> tuple[Asked, BudgetState]:
        return await calls.ask(model), await calls.settled()

    call, budget = calls.run(asked())

    assert isinstance(call.refusal, AccountingUnavailable)
    assert call.refusal.retry_after == 1.0
    assert (model.calls, calls.ledger.entries, call.attempts) == ([], [], [])
    assert budget == BudgetState(spent=0, held=0)
    assert left(model) == (10, 1000)
    assert_settled(calls, model)


def test_a_store_that_cannot_be_asked_refuses_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets fail closed."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", allowance=granted(calls))

    async def unavailable(hold_id: str, demands: list[Demand]) -> Verdict:
        raise StoreUnavailable

    monkeypatch.setattr(calls.store, "hold", unavailable)
    call = calls.answer(model)

    assert isinstance(call.refusal, AccountingUnavailable)
    assert (model.calls, calls.ledger.entries, left(model)) == ([], [], (10, 1000))


def test_a_foreign_error_while_opening_holds_nothing() -> None:
    """It passes as it is, for the log."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.open_fails = [ZeroDivisionError()]
    model = calls.model("a", allowance=granted(calls))

    call = calls.answer(model)

    assert isinstance(call.error, ZeroDivisionError)
    assert left(model) == (10, 1000)
    assert_settled(calls, model)


def test_a_ledger_that_fails_at_the_end_does_not_fail_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    """The ledger keeps the entry, the caller has the answer, and the operator a line."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.close_fails = [LEDGER_GONE]
    model = calls.model("a", ["hi", USED])

    with caplog.at_level(logging.WARNING):
        call = calls.answer(model)

    assert call.error is None
    assert call.heard.text == "hi"
    assert rows(calls) == [("a", OK, COST, False)]
    [record] = caplog.records
    assert (record.message, record.__dict__["fields"]["error"]) == (
        "an attempt waits for the ledger",
        "the disk is full",
    )
    assert_settled(calls, model)


def test_a_store_that_breaks_at_the_end_does_not_keep_the_entry_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a restart would charge the estimate for what has ended."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", ["hi", USED])

    async def broken(hold_id: str, used: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(calls.store, "settle", broken)
    call = calls.answer(model)

    assert isinstance(call.error, ZeroDivisionError)
    assert rows(calls) == [("a", OK, COST, False)]


def test_an_error_that_is_nobodys_fault_is_settled_as_failed() -> None:
    """Whatever raises within the attempt, only a caller who leaves has cancelled it."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", ["12345678", ZeroDivisionError()])

    call = calls.answer(model)

    assert isinstance(call.error, ZeroDivisionError)
    assert rows(calls) == [("a", FAILED, 2 * INPUT + 5 * 2, True)]
    assert_settled(calls, model)


def test_an_attempt_that_its_circuit_does_not_admit_costs_nothing() -> None:
    """It is no attempt of the call's, and all that it took is given back."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.open_takes = 1.0
    policy = BreakerPolicy(consecutive_failures=1, open_for=1000.0)
    model = calls.model("a", Broken("503", reason="server_error"), policy=policy, allowance=granted(calls))

    async def both() -> tuple[Asked, Asked]:
        first = asyncio.ensure_future(calls.ask(model))
        await calls.clock.sleep(0.5)
        late = await calls.ask(model)
        return await first, late

    first, late = calls.run(both())

    assert first.attempts == [("a", "server_error")]
    assert late.attempts == []
    assert isinstance(late.refusal, PenstockError)
    assert {(status, cost, is_estimated) for _, status, cost, is_estimated in rows(calls)} == {(FAILED, 0, False)}
    assert left(model) == (9, 1000)
    assert_settled(calls, model)


def test_a_budget_that_covers_no_second_attempt_ends_the_call() -> None:
    """What the first one cost stands; the second was never made."""
    calls = MeteredCalls(a_budget(ESTIMATE + 2 * INPUT - 1))
    first = calls.model("a", Broken("reset", reason="connection_reset"))
    second = calls.model("b", allowance=granted(calls))

    call = calls.answer(first, second)

    assert isinstance(call.refusal, BudgetExhausted)
    assert (call.attempts, second.calls) == ([("a", "connection_reset")], [])
    assert rows(calls) == [("a", FAILED, 2 * INPUT, True)]
    assert left(second) == (10, 1000)
    assert_settled(calls, first, second)


def test_money_for_ten_admits_exactly_ten() -> None:
    """Where every call costs what it was estimated at."""
    calls = MeteredCalls(a_budget(10 * ESTIMATE))
    exact = [1.0, Usage(uncached_input=INPUT, output=OUTPUT)]
    model = calls.model("a", *[exact] * 30)

    async def all_at_once() -> list[Asked]:
        return await asyncio.gather(*(calls.ask(model) for _ in range(30)))

    asked = calls.run(all_at_once())

    assert sum(call.error is None for call in asked) == 10
    assert all(call.error is None or isinstance(call.error, BudgetExhausted) for call in asked)
    assert calls.ledger.cost == 10 * ESTIMATE
    assert_settled(calls, model)


def test_a_price_that_nobody_knows_is_no_matter_without_a_budget() -> None:
    """The entry says that the cost is not known, and so does the answer."""
    calls = MeteredCalls()

    call = calls.answer(calls.model("a", ["hi", USED], price=None))

    assert call.error is None
    assert call.outcome.cost_nanousd is None
    assert rows(calls) == [("a", OK, None, False)]


def test_a_shadow_budget_denies_nothing_for_want_of_a_price() -> None:
    """It counts what it can, which is nothing."""
    calls = MeteredCalls(a_budget(PLENTY, is_shadow=True))

    call = calls.answer(calls.model("a", ["hi", USED], price=None))

    assert call.error is None
    assert rows(calls) == [("a", OK, None, False)]


def test_a_budgeted_call_of_a_model_without_a_price_is_refused_and_alarms(caplog: pytest.LogCaptureFixture) -> None:
    """Once in a while for each model, however many calls are refused."""
    calls = MeteredCalls(a_budget(PLENTY))
    a, b = (calls.model(name, price=None, allowance=granted(calls)) for name in "ab")

    async def refused() -> list[Asked]:
        early = [await calls.ask(model) for model in (a, a, b)]
        await calls.clock.sleep(SILENCE)
        return [*early, await calls.ask(a)]

    with caplog.at_level(logging.ERROR):
        asked = calls.run(refused())

    assert {type(call.refusal) for call in asked} == {PriceUnknown}
    assert [record.__dict__["fields"]["model"] for record in caplog.records] == ["a", "b", "a"]
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert (a.calls, calls.ledger.entries, left(a)) == ([], [], (10, 1000))
    assert_settled(calls, a, b)


def test_each_fraction_of_a_budget_is_told_once() -> None:
    """By the settlement that crosses it."""
    calls = MeteredCalls(a_budget(2 * ESTIMATE, alert_at=(0.5, 1.0)))
    model = calls.model("a", *[Usage(uncached_input=INPUT, output=OUTPUT)] * 3)

    async def one_by_one() -> list[list[float]]:
        told = []
        for _ in range(3):
            await calls.ask(model)
            told.append([value for _, value in calls.telescope.points("penstock.budget.alerts")])
        return told

    assert calls.run(one_by_one()) == [[1], [2], [2]]


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
    assert rows(calls) == [("a", OK, COST, False)]
    assert_settled(calls, model)
