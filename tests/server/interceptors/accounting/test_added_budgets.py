"""What was under way when a reload added a budget is counted in it, once."""

import asyncio

import pytest

from fakes.metering import ESTIMATE, PRICE, MeteredCalls, a_budget
from fakes.model_calls import Asked
from fakes.scripted_model import ScriptedModel
from penstockd.limits import BudgetState
from penstockd.model import Timeouts
from penstockd.period import HOUR, Period
from penstockd.principal import Principal
from penstockd.rules import BudgetRule, Caller, Per, Rulebook, TenantRules, budget_demand
from penstockd.upstream import Broken
from penstockd.usage import Usage

USED = Usage(uncached_input=4, output=3)
COST = PRICE.cost(USED)
PLENTY = 100 * ESTIMATE


def reloaded_meanwhile(calls: MeteredCalls, rules: TenantRules, model: ScriptedModel) -> tuple[Asked, BudgetState]:
    """Make one call, and let other rules be in use while it is under way; return how acme's budget then stands."""

    async def main() -> tuple[Asked, BudgetState]:
        asking = asyncio.ensure_future(calls.ask(model))
        await calls.clock.sleep(1.0)
        calls.in_use = Rulebook({"acme": rules})
        return await asking, await calls.budget()

    return calls.run(main())


@pytest.mark.parametrize("limit", [PLENTY, 1])
def test_an_attempt_counts_in_a_budget_that_was_added_meanwhile(limit: int) -> None:
    """Also where that is more than the budget: it was spent."""
    calls = MeteredCalls()

    asked, budget = reloaded_meanwhile(calls, a_budget(limit), calls.model("a", [2.0, "hi", USED]))

    assert asked.error is None
    assert calls.ledger.cost == COST
    assert budget == BudgetState(spent=COST, held=0)


def test_a_later_attempt_of_an_older_call_counts_too() -> None:
    """It goes by the rules that its call came by, whatever it costs."""
    calls = MeteredCalls()
    model = calls.model("a", [2.0, Broken("busy", reason="server_error")], ["hi", USED])

    asked, budget = reloaded_meanwhile(calls, a_budget(1), model)

    assert asked.attempts == [("a", "server_error"), ("a", "")]
    assert budget == BudgetState(spent=calls.ledger.cost, held=0)


def test_it_counts_in_the_period_in_which_it_began() -> None:
    """As the ledger has it, and as a budget does of which it held."""
    calls = MeteredCalls()
    rule = BudgetRule(per=Per.TENANT, limit=PLENTY, period=Period.HOUR, text="in an hour")
    begun = budget_demand(rule, Caller(principal=Principal(tenant="acme"), user_id="", agent=""), calls.clock.wall())
    model = calls.model("a", [2 * HOUR, "hi", USED], timeouts=Timeouts(first_token=3 * HOUR, total=3 * HOUR))

    async def main() -> BudgetState:
        asking = asyncio.ensure_future(calls.ask(model, within=3 * HOUR))
        await calls.clock.sleep(1.0)
        calls.in_use = Rulebook({"acme": TenantRules(budgets=[rule])})
        await asking
        return await calls.store.budget(begun.key)

    assert calls.run(main()) == BudgetState(spent=COST, held=0)


def test_a_budget_of_which_the_attempt_held_counts_it_once() -> None:
    """A changed limit makes no other budget."""
    calls = MeteredCalls(a_budget(PLENTY))

    _, budget = reloaded_meanwhile(calls, a_budget(2 * PLENTY), calls.model("a", [2.0, "hi", USED]))

    assert budget == BudgetState(spent=COST, held=0)


def test_it_is_counted_once_the_ledger_has_it() -> None:
    """Who starts the budget at what the ledger says, and finds it there or not, counts it twice rather than never."""
    calls = MeteredCalls()
    calls.ledger.settle_takes = 5.0
    model = calls.model("a", [2.0, "hi", USED])

    async def main() -> tuple[BudgetState, BudgetState]:
        asking = asyncio.ensure_future(calls.ask(model))
        await calls.clock.sleep(1.0)
        calls.in_use = Rulebook({"acme": a_budget(PLENTY)})
        await calls.clock.sleep(2.0)
        assert calls.ledger.cost == ESTIMATE
        before = await calls.budget()
        await asking
        return before, await calls.budget()

    assert calls.run(main()) == (BudgetState(spent=0, held=0), BudgetState(spent=COST, held=0))


def test_what_it_crosses_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """As of any other attempt."""
    calls = MeteredCalls()

    reloaded_meanwhile(calls, a_budget(COST, alert_at=(0.5, 1.0)), calls.model("a", [2.0, "hi", USED]))

    told = [record.__dict__["fields"]["fraction"] for record in caplog.records if record.message == "budget alert"]
    assert told == [0.5, 1.0]


def test_without_a_price_there_is_nothing_to_count() -> None:
    """The entry says that the cost is not known."""
    calls = MeteredCalls()

    asked, budget = reloaded_meanwhile(calls, a_budget(PLENTY), calls.model("a", [2.0, "hi", USED], price=None))

    assert asked.error is None
    assert budget == BudgetState(spent=0, held=0)


def test_it_is_counted_though_its_caller_leaves_while_the_store_is_far_away() -> None:
    """Counting is part of the settlement, which no cancel ends."""
    calls = MeteredCalls(settle_takes=5.0)
    model = calls.model("a", ["hi", 60.0])

    async def main() -> BudgetState:
        asking = asyncio.ensure_future(calls.ask(model))
        await calls.clock.sleep(1.0)
        calls.in_use = Rulebook({"acme": a_budget(PLENTY)})
        asking.cancel()
        await calls.clock.sleep(1.0)
        asking.cancel()
        await asking
        return await calls.settled()

    assert calls.run(main()) == BudgetState(spent=calls.ledger.cost, held=0)
    assert calls.ledger.cost > 0
