"""Shows how far the tenants' budgets are used up."""

from collections.abc import Callable

from penstockd import conventions as names
from penstockd.budgets import FullestBudgets
from penstockd.gauges.gauges import Gauges, Readings


def show_budgets(gauges: Gauges, budgets: FullestBudgets, *, held: Callable[[], int]) -> None:
    """Show the fullest, and what all budgets of the store hold together, which `held` returns in nano-USD."""

    def fractions() -> Readings:
        for standing in budgets.fullest:
            demand = standing.demand
            yield (
                standing.fraction,
                {
                    names.PENSTOCK_TENANT: demand.tenant,
                    names.PENSTOCK_RULE: demand.rule,
                    names.PENSTOCK_RULE_PER: demand.per,
                    names.PENSTOCK_RULE_SHADOW: "true" if demand.is_shadow else "false",
                },
            )

    gauges.numbers(
        names.PENSTOCK_BUDGET_FRACTION,
        fractions,
        description="Part of a tenant's budget that is spent or held in its running period.",
    )
    gauges.number(
        names.PENSTOCK_BUDGET_HELD,
        lambda: held() / 1e9,
        unit="usd",
        description="What all budgets hold for attempts under way, each for itself.",
    )
