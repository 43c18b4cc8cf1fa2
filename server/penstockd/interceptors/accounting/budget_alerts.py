"""Tells operators that a budget is running out."""

from collections.abc import Iterable

from penstockd import conventions as names
from penstockd.changes import Changes
from penstockd.limits import Crossing
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Instruments
from penstockd.metrics.rule_labels import rule_label
from penstockd.metrics.tenant_labels import TenantLabels


class BudgetAlerts:
    """One event and one count for each fraction of a budget that is crossed."""

    def __init__(self, *, log: Log, instruments: Instruments, tenants: TenantLabels, changes: Changes) -> None:
        """Tell `log` of the subject, and count its tenant as far as `tenants` tells them apart."""
        self._changes = changes
        self._log = log
        self._tenants = tenants
        self._alerts = instruments.counter(
            names.PENSTOCK_BUDGET_ALERTS,
            unit="{alert}",
            description="Fractions of budgets that spending has crossed.",
            labels=(names.PENSTOCK_TENANT, names.PENSTOCK_RULE_PER, names.PENSTOCK_RULE),
        )

    def tell(self, crossings: Iterable[Crossing]) -> None:
        """Tell of what a settlement has crossed."""
        for crossing in crossings:
            demand = crossing.demand
            per, tenant = demand.per, demand.tenant
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
            state = "used up" if crossing.fraction >= 1 else f"{crossing.fraction:.0%} spent"
            whom = tenant if per == "tenant" else f"{tenant}, per {per}"
            self._changes.add_or_count("budget", whom, state, demand.rule)
            label = self._tenants.of(tenant)
            self._alerts.of(label, per, rule_label(demand.rule, label)).add()
