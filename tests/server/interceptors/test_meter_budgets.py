"""Budgets and prices at the meter: what money there is, attempts are made for."""

import asyncio
import logging

import pytest

from fakes.metering import ESTIMATE, HOLD, INPUT, OUTPUT, PRICE, MeteredCalls, a_budget, left
from fakes.model_calls import Asked
from penstockd.errors import BudgetExhausted, PriceUnknown
from penstockd.interceptors.accounting.price_alarm import SILENCE
from penstockd.ledger import EntryStatus
from penstockd.upstream import Broken
from penstockd.usage import Usage

USED = Usage(uncached_input=4, cached_input=2, cache_write_input=1, output=3)
OK, FAILED = EntryStatus.OK, EntryStatus.FAILED
PLENTY = 100 * ESTIMATE


def test_a_budget_that_covers_no_second_attempt_ends_the_call() -> None:
    """What the first one cost stands; the second was never made."""
    calls = MeteredCalls(a_budget(HOLD + 2 * INPUT - 1))
    first = calls.model("a", Broken("reset", reason="connection_reset"))
    second = calls.model("b", allowance=calls.grant())

    call = calls.answer(first, second)

    assert isinstance(call.refusal, BudgetExhausted)
    assert (call.attempts, second.calls) == ([("a", "connection_reset")], [])
    assert calls.written == [("a", FAILED, 2 * INPUT, True)]
    assert left(second) == (10, 1000)
    calls.assert_settled(first, second)


def test_money_for_ten_admits_exactly_ten() -> None:
    """Where every call costs the most that its estimate may: its input is a cache write, which is dearest."""
    calls = MeteredCalls(a_budget(10 * HOLD))
    exact = [1.0, Usage(cache_write_input=INPUT, output=OUTPUT)]
    model = calls.model("a", *[exact] * 30)

    async def all_at_once() -> list[Asked]:
        return await asyncio.gather(*(calls.ask(model) for _ in range(30)))

    asked = calls.run(all_at_once())

    assert sum(call.error is None for call in asked) == 10
    assert all(call.error is None or isinstance(call.error, BudgetExhausted) for call in asked)
    assert calls.ledger.cost == 10 * HOLD
    calls.assert_settled(model)


def test_a_price_that_nobody_knows_is_no_matter_without_a_budget() -> None:
    """The entry says that the cost is not known, and so does the answer."""
    calls = MeteredCalls()

    call = calls.answer(calls.model("a", ["hi", USED], price=None))

    assert call.error is None
    assert call.outcome.cost_nanousd is None
    assert calls.written == [("a", OK, None, False)]


def test_a_model_of_unknown_price_that_was_never_reached_leaves_the_cost_known() -> None:
    """The one that answered in its stead has a price."""
    calls = MeteredCalls()
    dead = calls.model("a", Broken("refused", reason="connect_failed"), price=None)

    call = calls.answer(dead, calls.model("b", ["hi", USED]))

    assert call.outcome.cost_nanousd == PRICE.cost(USED)
    assert calls.written == [("a", FAILED, 0, False), ("b", OK, PRICE.cost(USED), False)]


def test_a_shadow_budget_denies_nothing_for_want_of_a_price() -> None:
    """It counts what it can, which is nothing."""
    calls = MeteredCalls(a_budget(PLENTY, is_shadow=True))

    call = calls.answer(calls.model("a", ["hi", USED], price=None))

    assert call.error is None
    assert calls.written == [("a", OK, None, False)]


def test_a_budgeted_call_of_a_model_without_a_price_is_refused_and_alarms(caplog: pytest.LogCaptureFixture) -> None:
    """All of them are counted, and once in a while one is told of, for each model."""
    calls = MeteredCalls(a_budget(PLENTY))
    a, b = (calls.model(name, price=None, allowance=calls.grant()) for name in "ab")

    async def refused() -> list[Asked]:
        early = [await calls.ask(model) for model in (a, a, b)]
        await calls.clock.sleep(SILENCE)
        return [*early, await calls.ask(a)]

    with caplog.at_level(logging.ERROR):
        asked = calls.run(refused())

    assert {type(call.refusal) for call in asked} == {PriceUnknown}
    assert [record.__dict__["fields"]["model"] for record in caplog.records] == ["a", "b", "a"]
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    counted = calls.telescope.points("penstock.price.unknown")
    assert counted == [({"penstock.model": "a"}, 3), ({"penstock.model": "b"}, 1)]
    assert (a.calls, calls.ledger.entries, left(a)) == ([], [], (10, 1000))
    calls.assert_settled(a, b)


def test_each_fraction_of_a_budget_is_told_once() -> None:
    """By the settlement that crosses it."""
    calls = MeteredCalls(a_budget(2 * HOLD, alert_at=(0.5, 1.0)))
    model = calls.model("a", *[Usage(cache_write_input=INPUT, output=OUTPUT)] * 3)

    async def one_by_one() -> list[list[float]]:
        told = []
        for _ in range(3):
            await calls.ask(model)
            told.append([value for _, value in calls.telescope.points("penstock.budget.alerts")])
        return told

    assert calls.run(one_by_one()) == [[1], [2], [2]]
