"""What outlives every configuration: limits and budgets, kept answers, work in flight."""

import asyncio
import random
from secrets import token_bytes

from penstockd.answer_keys import AnswerKeys
from penstockd.answers import Lookups
from penstockd.budgets import FullestBudgets
from penstockd.changes import Changes
from penstockd.clock import Clock
from penstockd.config import Settings
from penstockd.exporters.exporters import Exporters
from penstockd.gauges.budget_gauge import show_budgets
from penstockd.gauges.cache_gauge import show_cache, show_idempotency
from penstockd.gauges.daemon_gauge import show_ledger
from penstockd.gauges.gauges import Gauges
from penstockd.interceptors.accounting.added_budgets import AddedBudgets
from penstockd.interceptors.accounting.budget_alerts import BudgetAlerts
from penstockd.interceptors.accounting.denials import Denials
from penstockd.interceptors.accounting.holds import Holds
from penstockd.interceptors.accounting.price_alarm import PriceAlarm
from penstockd.interceptors.accounting.settlement import Settlements
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.idempotency import LINGER
from penstockd.ledger import Ledger
from penstockd.logs.log import Log
from penstockd.metrics.attempt_metrics import AttemptMetrics
from penstockd.metrics.instruments import Count
from penstockd.metrics.tally import Tally
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.reconciliation import Reconciliation
from penstockd.resilience.permits import Permits
from penstockd.rules import Rulebook
from penstockd.stores.answers.memory_answers import MemoryAnswers
from penstockd.stores.answers.seal import Seal
from penstockd.stores.memory_idempotency import MemoryIdempotency
from penstockd.stores.memory_limits import MemoryLimits

PROMOTE_EVERY = 60.0
"""Seconds of one stretch in which tenants may prove busy enough for a label of their own."""
UPKEEP_EVERY = 1.0
"""Seconds between two looks at what has gone idle."""
LAST_CHANCE = 1.0
"""Seconds that work in flight has to end at the daemon's end."""


class State:
    """One of each, shared by the interceptors of whatever configuration is in use."""

    def __init__(self, *, ledger: Ledger, clock: Clock, log: Log, exporters: Exporters) -> None:
        """Remember nothing yet."""
        gauges, instruments, tenants = Gauges(exporters.meter), exporters.instruments, TenantLabels()
        secret = token_bytes(32)
        self.ledger = ledger
        self.in_flight = Permits(limit=1)
        self.limits = MemoryLimits(clock, random=random.random)
        self.settlements = Settlements(log)
        self.holds = Holds(self.limits, settlements=self.settlements, denials=Denials(instruments, tenants))
        self.changes = Changes(clock)
        self.tally = Tally(tenants)
        self.alerts = BudgetAlerts(log=log, instruments=instruments, tenants=tenants, changes=self.changes)
        self.reconciliation = Reconciliation(self.limits, ledger, crossed=self.alerts.tell, clock=clock, log=log)
        self.added_budgets = AddedBudgets(self.limits, rulebook=lambda: self.reconciliation.rulebook)
        self.budgets = FullestBudgets(self.limits, clock)
        self.price_alarm = PriceAlarm(clock=clock, log=log, instruments=instruments)
        self.attempt_metrics = AttemptMetrics(instruments, tenants)
        self.answer_keys = AnswerKeys(secret)
        self.answers = MemoryAnswers(Seal(secret), max_entries=0, max_bytes=0, clock=clock, random=random.random)
        self.lookups = Lookups()
        self.flights = Flights(clock, log=log)
        self.idempotency = MemoryIdempotency(clock)
        self.replays = Count()
        self.keyed_flights = Flights(clock, log=log, linger=LINGER)
        self._clock = clock
        self._instruments = instruments
        self._tenants = tenants
        self._promoted_at = clock.monotonic()
        show_budgets(gauges, self.budgets, held=lambda: self.limits.held_nanousd)
        show_cache(gauges, answers=self.answers, lookups=self.lookups, flights=self.flights)
        show_idempotency(gauges, replays=self.replays, flights=self.keyed_flights)
        show_ledger(gauges, ledger)

    def apply(self, settings: Settings, rulebook: Rulebook) -> None:
        """Keep within what `settings` say, and look after the budgets of `rulebook`."""
        cache = settings.cache
        self.in_flight.limit = settings.server.max_in_flight
        self.answers.cache.limit(max_entries=cache.max_entries if cache.enabled else 0, max_bytes=cache.max_bytes)
        self.reconciliation.use(rulebook)

    async def keep_up(self) -> None:
        """For ever, now and then, forget what has gone idle, count what was observed, and look how full budgets are.

        The ledger is not asked.
        """
        while True:
            self.limits.sweep()
            self.answers.cache.sweep()
            self._instruments.settle()
            if self._clock.monotonic() - self._promoted_at >= PROMOTE_EVERY:
                self._promoted_at = self._clock.monotonic()
                self._tenants.promote()
            await self.budgets.refresh(self.reconciliation.rulebook)
            await self._clock.sleep(UPKEEP_EVERY)

    async def settle(self) -> None:
        """End all work in flight, and return when it is accounted for."""
        await asyncio.gather(self.flights.close(LAST_CHANCE), self.keyed_flights.close(LAST_CHANCE))
        await self.settlements.idle()
