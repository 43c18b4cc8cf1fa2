"""What is shown of the tenants' budgets."""

from msgspec.structs import replace

from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.budgets import FullestBudgets
from penstockd.gauges.budget_gauge import show_budgets
from penstockd.gauges.gauges import Gauges
from penstockd.limits import Amounts
from penstockd.period import Period
from penstockd.principal import Principal
from penstockd.rules import BudgetRule, Caller, Per, Rulebook, TenantRules
from penstockd.stores.memory_limits import MemoryLimits

CLOCK = FakeClock()
RULE = BudgetRule(per=Per.TENANT, limit=100, period=Period.MONTH, text="100 per month")


async def test_it_shows_how_full_the_tenants_budgets_are_and_what_all_hold() -> None:
    """Shadows apart: they refuse nothing, and nobody need be woken. Users' budgets count in what is held alone."""
    shadow, of_a_user = replace(RULE, limit=50, text="50 per month", is_shadow=True), replace(RULE, per=Per.USER)
    book = Rulebook({"acme": TenantRules(budgets=[RULE, shadow, of_a_user])})
    store, telescope = MemoryLimits(CLOCK, random=lambda: 0.0), Telescope()
    budgets = FullestBudgets(store, CLOCK)
    show_budgets(Gauges(telescope.meter), budgets, held=lambda: store.held_nanousd)
    before = telescope.points("penstock.budget.fraction")
    caller = Caller(principal=Principal(tenant="acme"), user_id="u1", agent="")
    await store.hold("h", book.attempt(caller, now=CLOCK.wall()), Amounts(nanousd=25))

    await budgets.refresh(book)

    assert before == []
    labels = {"penstock.tenant": "acme", "penstock.rule.per": "tenant"}
    assert telescope.points("penstock.budget.fraction") == [
        ({**labels, "penstock.rule": "50 per month", "penstock.rule.shadow": "true"}, 0.5),
        ({**labels, "penstock.rule": "100 per month", "penstock.rule.shadow": "false"}, 0.25),
    ]
    assert telescope.points("penstock.budget.held") == [({}, 50 / 1e9)]
