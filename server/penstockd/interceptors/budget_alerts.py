"""Tells operators that a budget is running out."""

from collections.abc import Iterable

from opentelemetry.metrics import Meter

from penstockd import conventions as names
from penstockd.limits import Crossing
from penstockd.log import Log
from penstockd.rules import kind_and_tenant


class BudgetAlerts:
    """One event and one count for each fraction of a budget that is crossed."""

    def __init__(self, *, log: Log, meter: Meter) -> None:
        """Tell `log` of the subject, and `meter` of its tenant."""
        self._log = log
        self._alerts = meter.create_counter(
            names.PENSTOCK_BUDGET_ALERTS, unit="{alert}", description="Fractions of budgets that spending has crossed."
        )

    def tell(self, crossings: Iterable[Crossing]) -> None:
        """Tell of what a settlement has crossed."""
        for crossing in crossings:
            demand = crossing.demand
            per, tenant = kind_and_tenant(demand.subject)
            self._log.warning(
                "budget alert",
                tenant=tenant,
                subject=demand.subject,
                rule=demand.rule,
                fraction=crossing.fraction,
                spent_nanousd=crossing.spent,
                limit_nanousd=demand.limit,
                shadow=demand.is_shadow,
            )
            attributes = {names.PENSTOCK_TENANT: tenant, names.PENSTOCK_RULE_PER: per, names.PENSTOCK_RULE: demand.rule}
            self._alerts.add(1, attributes)
