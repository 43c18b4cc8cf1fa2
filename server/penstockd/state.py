"""What outlives every configuration: limits and budgets, kept answers, work in flight."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from secrets import token_bytes

from penstockd.answer_keys import AnswerKeys
from penstockd.answers import Lookups
from penstockd.budgets import count_losses, entered_again, in_both, rebuild, take_over
from penstockd.changes import Changes
from penstockd.clock import Clock
from penstockd.config import Settings
from penstockd.exporters.exporters import Exporters
from penstockd.gauges.budget_gauge import BudgetGauge
from penstockd.gauges.cache_gauge import show_cache, show_idempotency
from penstockd.gauges.daemon_gauge import show_ledger
from penstockd.gauges.gauges import Gauges
from penstockd.interceptors.accounting.added_budgets import AddedBudgets
from penstockd.interceptors.accounting.budget_alerts import BudgetAlerts
from penstockd.interceptors.accounting.denials import Denials
from penstockd.interceptors.accounting.price_alarm import PriceAlarm
from penstockd.interceptors.accounting.settlement import Settlements
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.idempotency import LINGER
from penstockd.ledger import CannotOpenLedger, Ledger, LedgerUnavailable, Loss
from penstockd.logs.log import Log
from penstockd.metrics.attempt_metrics import AttemptMetrics
from penstockd.metrics.instruments import Count
from penstockd.metrics.tally import Tally
from penstockd.metrics.tenant_labels import TenantLabels
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
        self.denials = Denials(instruments, tenants)
        self.changes = Changes(clock)
        self.tally = Tally(tenants)
        self.alerts = BudgetAlerts(log=log, instruments=instruments, tenants=tenants, changes=self.changes)
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
        self._log = log
        self.budget_gauge = BudgetGauge(self.limits, held=lambda: self.limits.held_nanousd, clock=clock, gauges=gauges)
        self._rulebook = self._watched = Rulebook({})
        self.added_budgets = AddedBudgets(self.limits, rulebook=lambda: self._rulebook)
        self._tenants = tenants
        self._promoted_at = clock.monotonic()
        self._latest = clock.wall()
        self._is_behind = False
        show_cache(gauges, answers=self.answers, lookups=self.lookups, flights=self.flights)
        show_idempotency(gauges, replays=self.replays, flights=self.keyed_flights)
        show_ledger(gauges, ledger)

    def apply(self, settings: Settings, rulebook: Rulebook) -> None:
        """Keep within what `settings` say, and look after the budgets of `rulebook`."""
        cache = settings.cache
        self.in_flight.limit = settings.server.max_in_flight
        self.answers.cache.limit(max_entries=cache.max_entries if cache.enabled else 0, max_bytes=cache.max_bytes)
        if self._rulebook is not self._watched:
            # It comes and goes between two looks: nothing was counted in the budgets that it lacks.
            self._watched = in_both(self._watched, self._rulebook)
        self._rulebook = rulebook

    async def remember_spending(self) -> None:
        """Start every budget at what the ledger says was spent; for before the first call. Raises CannotOpenLedger."""
        self._watched = self._rulebook
        self._latest = self._clock.wall()
        try:
            await rebuild(self._rulebook, self.limits, self.ledger.spent, self._latest)
        except LedgerUnavailable as error:
            message = f"cannot read from the ledger what was spent: {error}"
            raise CannotOpenLedger(message) from error

    async def count_losses(self, losses: Sequence[Loss]) -> None:
        """Count in the budgets what a dead daemon's attempts were charged, of which nobody was told what it crosses."""
        self.alerts.tell(await count_losses(self._rulebook, self.limits, losses, self._clock.wall()))

    async def keep_up(self) -> None:
        """For ever, now and then, forget what has gone idle, and look at the budgets."""
        while True:
            self.limits.sweep()
            self.answers.cache.sweep()
            if self._clock.monotonic() - self._promoted_at >= PROMOTE_EVERY:
                self._promoted_at = self._clock.monotonic()
                self._tenants.promote()
            await self._take_over_changed_budgets()
            await self._return_to_earlier_periods()
            await self.budget_gauge.refresh(self._rulebook)
            await self._clock.sleep(UPKEEP_EVERY)

    async def _take_over_changed_budgets(self) -> None:
        """Count what was spent before a reload added a budget, and tell what that crosses.

        If the ledger cannot be read, that is said once, and the next look tries again.
        """
        rulebook = self._rulebook
        if rulebook is self._watched:
            return
        now = self._clock.wall()
        try:
            self.alerts.tell(await take_over(self._watched, rulebook, self.limits, self.ledger.spent, now))
        except LedgerUnavailable as fault:
            if not self._is_behind:
                self._log.warning("changed budgets do not count what was spent before", reason=str(fault))
            self._is_behind = True
            return
        self._watched = rulebook
        if self._is_behind:
            self._log.info("changed budgets count what was spent before")
        self._is_behind = False

    async def _return_to_earlier_periods(self) -> None:
        """Where the wall clock was put back over the start of a period, count what was spent in the one before.

        It may be forgotten by now, or older than this daemon. What it crosses was told when it was spent.
        """
        now = self._clock.wall()
        self._latest = max(self._latest, now)
        if now == self._latest:
            return
        again = entered_again(self._rulebook, self._latest, now)
        if again.tenants:
            with suppress(LedgerUnavailable):
                await take_over(Rulebook({}), again, self.limits, self.ledger.spent, now)
                self._latest = now

    async def settle(self) -> None:
        """End all work in flight, and return when it is accounted for."""
        await asyncio.gather(self.flights.close(LAST_CHANCE), self.keyed_flights.close(LAST_CHANCE))
        await self.settlements.idle()
