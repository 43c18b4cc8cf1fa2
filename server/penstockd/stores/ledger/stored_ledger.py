"""The ledger that the meter writes and the services read, kept in a database."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf, isinf
from typing import TypeVar

from sqlalchemy import Connection

from penstockd.clock import Clock
from penstockd.ledger import CannotOpenLedger, Entry, LedgerUnavailable, Spending, UsageQuery, UsageReport
from penstockd.logs.log import Log
from penstockd.resilience.backoff import Backoff
from penstockd.resilience.deadline import margin
from penstockd.stores.ledger import sums
from penstockd.stores.ledger.database import LONGEST_STATEMENT, Database, within
from penstockd.stores.ledger.journal import SILENT, Journal
from penstockd.stores.ledger.operations import Kind, Operation, row_of
from penstockd.stores.ledger.tending import Charged, Tending
from penstockd.stores.ledger.worker import Worker

T = TypeVar("T")

TIDY_EVERY = 1.0
"""Seconds from one look at the database's own needs to the next."""
LONGEST_SUM = 600.0
"""Seconds that it may take to sum up what was spent, without which a daemon does not start."""
LONGEST_FLUSH = 8.0
"""Seconds at the end for what is not yet written; with LONGEST_CLOSE, less than the daemon waits for the ledger."""
LONGEST_CLOSE = 2.0
"""Seconds at the end for letting go of the database."""


class StoredLedger:
    """Accounts for every attempt in a Database; a Ledger."""

    def __init__(
        self,
        database: Database,
        *,
        retention: float,
        clock: Clock,
        random: Callable[[], float],
        log: Log,
        committed: Callable[[float], None],
    ) -> None:
        """Keep what is older than `retention` seconds no longer; `random` gives 0 to 1, for the backoff of retries.

        `committed` is told how many seconds each commit took.
        """
        self._database = database
        self._clock = clock
        self._log = log
        self._reader = Worker("ledger-reader")
        self._tidier = Worker("ledger-tidier")
        self._writer = Worker("ledger-writer")
        # Between the writes where the database has one writer, else beside them.
        self._tender = self._writer if database.has_one_writer else Worker("ledger-tender")
        backoff = Backoff(0.2, 5.0, random=random)
        self._journal = Journal(
            database, self._writer, clock=clock, backoff=backoff, changed=self._tell, committed=committed
        )
        tend = self._journal.alone if database.has_one_writer else self._tender.run
        self._tending = Tending(database, tend, retention=retention, clock=clock, log=log)
        self._fault_began: float | None = None
        self._late = 0
        self._changed: Callable[[str], None] = lambda _: None
        self._upkeep: Sequence[asyncio.Task[None]] = ()

    def __repr__(self) -> str:
        return f"<StoredLedger {self._journal!r}>"

    @property
    def fault(self) -> str:
        """Why nothing can be written just now, for readiness; empty when all is well."""
        return self._journal.fault

    @property
    def waiting(self) -> int:
        """How many settled entries are not yet written."""
        return self._journal.waiting

    async def start(self, changed: Callable[[str], None], charged: Charged) -> None:
        """Charge what a dead daemon left, and tend the ledger from now on. Raises CannotOpenLedger.

        `changed` is told each new fault, and an empty text when it is over; `charged` what this and later losses were
        charged.
        """
        self._changed = changed
        try:
            async with asyncio.timeout(LONGEST_STATEMENT):
                await self._tending.charge_losses(charged)
        except (LedgerUnavailable, TimeoutError) as fault:
            raise CannotOpenLedger(f"cannot write the ledger: {str(fault) or SILENT}") from fault
        self._upkeep = [asyncio.create_task(self._tidy_up()), asyncio.create_task(self._tending.keep_up(charged))]

    async def hold(self, entry: Entry, ends_at: float = inf) -> None:
        """Write a HELD entry; returns when it is durable. Raises LedgerUnavailable, in time for a call that `ends_at`.

        That is in monotonic seconds. Cut short, it leaves nothing.
        """
        row = row_of(entry, self._database.instance)
        # Nobody is to be asked for what cannot be settled: after a pause, a commit must first go well.
        if self._journal.is_sound and self._database.hold(row):
            return
        remaining = ends_at - self._clock.monotonic()
        try:
            async with asyncio.timeout(None if isinf(remaining) else remaining - margin(remaining)):
                await self._journal.write(Operation(Kind.HOLD, row))
        except TimeoutError as late:
            raise LedgerUnavailable(SILENT) from late

    async def settle(self, entry: Entry) -> None:
        """Settle an entry that is held; returns when it is durable.

        An entry that cannot be written now is kept and written later, in order: raises LedgerUnavailable meanwhile.
        """
        try:
            await self._journal.write(Operation(Kind.SETTLE, row_of(entry, self._database.instance)))
        except LedgerUnavailable:
            self._late += 1
            raise

    async def release(self, entry: Entry) -> None:
        """Take back an entry that is held; returns when that is durable. Raises LedgerUnavailable if it is later."""
        row = row_of(entry, self._database.instance)
        if not self._database.release(row):
            await self._journal.write(Operation(Kind.RELEASE, row))

    async def usage(self, query: UsageQuery) -> UsageReport:
        """Sum the settled and lost entries that match. Raises LedgerUnavailable."""
        return await self._read(partial(sums.usage, query=query), longest=LONGEST_STATEMENT)

    async def spent(self, since: float, until: float | None) -> Sequence[Spending]:
        """What each tenant's users, agents and keys have cost from `since` until before `until`, HELD entries left out.

        In unix seconds; None is no end.
        """
        return await self._read(partial(sums.spent, since=since, until=until), longest=LONGEST_SUM)

    async def stop(self) -> None:
        """Write what has arrived, and let go of the database; what cannot be written is charged at the next start."""
        for task in self._upkeep:
            task.cancel()
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_FLUSH):
                await self._journal.close()
                if self._tender is not self._writer:  # which closes the database after all else anyway
                    await self._tender.run(lambda: None)
        if self.waiting:
            reason = self.fault or SILENT
            self._log.error("attempts will be charged their estimates", reason=reason, attempts=self.waiting)
        await asyncio.wait([self._writer.run(self._database.close)], timeout=LONGEST_CLOSE)
        for worker in (self._reader, self._tidier, self._tender, self._writer):
            worker.stop()

    def _tell(self, fault: str) -> None:
        now = self._clock.monotonic()
        began = now if self._fault_began is None else self._fault_began
        if fault:
            self._fault_began = began
            self._log.error("the ledger cannot be written", reason=fault)
        else:
            self._log.info("the ledger is written again", written=self._late, fault_ms=round((now - began) * 1000))
            self._fault_began, self._late = None, 0
        self._changed(fault)

    async def _read(self, look: Callable[[Connection], T], *, longest: float) -> T:
        transaction = self._database.transaction(only_reads=True, longest=longest)
        try:
            async with asyncio.timeout(longest):
                return await self._reader.run(partial(within, transaction, look))
        except TimeoutError as late:
            raise LedgerUnavailable(f"the database has not answered within {longest:g} seconds") from late

    async def _tidy_up(self) -> None:
        """Every second tidy after what was written, or else sign."""
        written = 0
        while True:
            try:
                if self._journal.written != written and not self.fault:
                    written = self._journal.written
                    await self._tidy()
                elif not self.fault:
                    await self._writer.run(self._database.sign)
            except LedgerUnavailable as fault:
                self._log.warning("the ledger was not tidied", reason=str(fault))
            except Exception as error:  # noqa: BLE001 - nobody else tidies it, and it grows
                self._log.exception("the ledger was not tidied", error)
            await self._clock.sleep(TIDY_EVERY)

    async def _tidy(self) -> None:
        if await self._tidier.run(self._database.tidy):
            await self._journal.alone(self._database.tidy)
