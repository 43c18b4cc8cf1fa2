"""What fails around an attempt, ledger, store or provider, leaves its accounts in order."""

import asyncio
import logging

import pytest

from fakes.metering import ESTIMATE, INPUT, MeteredCalls, a_budget, left
from fakes.model_calls import Asked
from penstockd.errors import AccountingUnavailable
from penstockd.ledger import EntryStatus, LedgerUnavailable
from penstockd.limits import Amounts, BudgetState, Demand, StoreUnavailable, Verdict
from penstockd.usage import Usage

USED = Usage(uncached_input=4, cached_input=2, cache_write_input=1, output=3)
COST = 4 * 2 + 2 * 1 + 1 * 3 + 3 * 5
OK, FAILED = EntryStatus.OK, EntryStatus.FAILED
PLENTY = 100 * ESTIMATE
LEDGER_GONE = LedgerUnavailable("the disk is full")


def test_a_ledger_that_takes_nothing_refuses_the_attempt() -> None:
    """Nothing is sent, and nothing stays held, taken or in flight."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.hold_fails = [LEDGER_GONE]
    model = calls.model("a", allowance=calls.grant())

    async def asked() -> tuple[Asked, BudgetState]:
        return await calls.ask(model), await calls.settled()

    call, budget = calls.run(asked())

    assert isinstance(call.refusal, AccountingUnavailable)
    assert call.refusal.retry_after == 1.0
    assert (model.calls, calls.ledger.entries, call.attempts) == ([], [], [])
    assert budget == BudgetState(spent=0, held=0)
    assert left(model) == (10, 1000)
    calls.assert_settled(model)


@pytest.mark.parametrize("fault", [None, LEDGER_GONE])
def test_a_model_that_was_not_asked_after_all_leaves_nothing(fault: LedgerUnavailable | None) -> None:
    """Its circuit opened while the attempt was put on the ledger: the next model's is the only one."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.hold_takes = 1.0
    calls.ledger.release_fails = [fault]
    a, b = calls.model("a", allowance=calls.grant()), calls.model("b", ["text", USED])

    async def asked() -> tuple[Asked, BudgetState]:
        call = asyncio.ensure_future(calls.ask(a, b))
        await calls.clock.sleep(0.5)
        a.model.breaker.force_open("test")
        return await call, await calls.settled()

    call, budget = calls.run(asked())

    assert call.attempts == [("b", "")]
    assert calls.written == [("b", OK, COST, False)]
    assert budget == BudgetState(spent=COST, held=0)
    assert (a.calls, left(a)) == ([], (10, 1000))
    calls.assert_settled(a, b)


def test_a_store_that_cannot_be_asked_refuses_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets fail closed."""
    calls = MeteredCalls(a_budget(PLENTY), settle_takes=1.0)
    model = calls.model("a", allowance=calls.grant())

    async def unavailable(hold_id: str, demands: list[Demand], asked: Amounts) -> Verdict:
        raise StoreUnavailable

    monkeypatch.setattr(calls.store, "hold", unavailable)
    call = calls.answer(model)

    assert isinstance(call.refusal, AccountingUnavailable)
    assert (model.calls, calls.ledger.entries, left(model)) == ([], [], (10, 1000))


def test_a_foreign_error_while_opening_holds_nothing() -> None:
    """It passes as it is, for the log."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.hold_fails = [ZeroDivisionError()]
    model = calls.model("a", allowance=calls.grant())

    call = calls.answer(model)

    assert isinstance(call.error, ZeroDivisionError)
    assert left(model) == (10, 1000)
    calls.assert_settled(model)


def test_a_ledger_that_fails_at_the_end_does_not_fail_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    """The ledger keeps the entry, the caller has the answer, and the operator a line."""
    calls = MeteredCalls(a_budget(PLENTY))
    calls.ledger.settle_fails = [LEDGER_GONE]
    model = calls.model("a", ["hi", USED])

    with caplog.at_level(logging.WARNING):
        call = calls.answer(model)

    assert call.error is None
    assert call.heard.text == "hi"
    assert calls.written == [("a", OK, COST, False)]
    [record] = caplog.records
    assert (record.message, record.__dict__["fields"]["error"]) == (
        "an attempt waits for the ledger",
        "the disk is full",
    )
    calls.assert_settled(model)


def test_a_store_that_breaks_at_the_end_does_not_keep_the_entry_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a restart would charge the estimate for what has ended."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", ["hi", USED])

    async def broken(hold_id: str, used: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(calls.store, "settle", broken)
    call = calls.answer(model)

    assert isinstance(call.error, ZeroDivisionError)
    assert calls.written == [("a", OK, COST, False)]


def test_an_error_that_is_nobodys_fault_is_settled_as_failed() -> None:
    """Whatever raises within the attempt, only a caller who leaves has cancelled it."""
    calls = MeteredCalls(a_budget(PLENTY))
    model = calls.model("a", ["12345678", ZeroDivisionError()])

    call = calls.answer(model)

    assert isinstance(call.error, ZeroDivisionError)
    assert calls.written == [("a", FAILED, 2 * INPUT + 5 * 2, True)]
    calls.assert_settled(model)
