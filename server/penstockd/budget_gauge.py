"""Shows how far the tenants' budgets are used up."""

from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from penstockd import conventions as names
from penstockd.budgets import budget_states
from penstockd.clock import Clock
from penstockd.limits import LimitStore, StoreUnavailable
from penstockd.principal import Principal
from penstockd.rules import Caller, Rulebook


class BudgetGauge:
    """The spent and held part of each budget of a whole tenant; users, agents and keys would be too many."""

    def __init__(self, store: LimitStore, *, clock: Clock, meter: Meter) -> None:
        """Show nothing yet."""
        self._store = store
        self._clock = clock
        self._observations: list[Observation] = []
        meter.create_observable_gauge(
            names.PENSTOCK_BUDGET_FRACTION,
            callbacks=[self._observe],
            description="Part of a tenant's budget that is spent or held in its running period.",
        )

    async def refresh(self, rulebook: Rulebook) -> None:
        """Look at the budgets again; while the store is out of reach, show what was seen last."""
        try:
            self._observations = [seen for tenant in rulebook.tenants for seen in await self._look(rulebook, tenant)]
        except StoreUnavailable:
            return

    async def _look(self, rulebook: Rulebook, tenant: str) -> list[Observation]:
        caller = Caller(principal=Principal(tenant=tenant), user_id="", agent="")
        return [
            Observation(
                (budget.spent + budget.held) / budget.limit,
                {names.PENSTOCK_TENANT: tenant, names.PENSTOCK_RULE: budget.rule},
            )
            for budget in await budget_states(rulebook, self._store, caller, self._clock.wall())
        ]

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        return self._observations
