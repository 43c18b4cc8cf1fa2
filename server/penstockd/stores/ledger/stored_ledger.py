"""The ledger that the meter writes and the services read, kept in a database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from penstockd.clock import Clock
from penstockd.ledger import CannotOpenLedger, Entry, LedgerUnavailable, Spending, UsageQuery, UsageReport
from penstockd.logs.log import Log
from penstockd.resilience.backoff import Backoff
from penstockd.stores.ledger import old_rows, sums
from penstockd.stores.ledger.database import Database, DatabaseFault
from penstockd.stores.ledger.journal import Journal
from penstockd.stores.ledger.operations import Kind, Operation, row_of
from penstockd.stores.ledger.worker import Worker

T = TypeVar("T")

TIDY_EVERY = 1.0
"""Seconds from one look at the database's own needs to the next."""
TEND_EVERY = 600.0
"""Seconds from one look at losses and old rows to the next."""
BREATH = 0.02
"""Seconds between two steps of rolling up, for whoever waits to write."""
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
        self._retention = retention
        self._clock = clock
        self._log = log
        self._reader = Worker("ledger-reader")
        self._tidier = Worker("ledger-tidier")
        self._writer = Worker("ledger-writer")
        backoff = Backoff(0.2, 5.0, random=random)
        self._journal = Journal(
            database, self._writer, clock=clock, backoff=backoff, changed=self._tell, committed=committed
        )
        self._changed: Callable[[str], None] | None = None
        self._tending: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<StoredLedger {self._journal!r}>"

    @property
    def fault(self) -> str:
        """Why nothing can be written just now, for readiness; empty when all is well."""
        return self._journal.fault

    @property
    def waiting(self) -> int:
        """How many entries are not yet written."""
        return self._journal.waiting

    async def start(self, changed: Callable[[str], None]) -> int:
        """Charge what a dead daemon left, and tend the ledger from now on. Raises CannotOpenLedger.

        Returns how many attempts were charged. `changed` is told each new fault, and an empty text when it is over.
        """
        self._changed = changed
        try:
            charged = await self._charge_losses()
        except LedgerUnavailable as fault:
            raise CannotOpenLedger(f"cannot write the ledger: {fault}") from fault
        self._tending = asyncio.create_task(self._tend())
        return charged

    async def open(self, entry: Entry) -> None:
        """Write a HELD entry; returns when it is durable. Raises LedgerUnavailable. Cut short, it leaves nothing."""
        row = row_of(entry, self._database.instance)
        # Nobody is to be asked for what cannot be settled: after a pause, a commit must first go well.
        if not self._journal.is_sound or not self._database.hold(row):
            await self._journal.write(Operation(Kind.OPEN, row))

    async def close(self, entry: Entry) -> None:
        """Settle an entry that was opened; returns when it is durable.

        An entry that cannot be written now is kept and written later, in order: raises LedgerUnavailable meanwhile.
        """
        await self._journal.write(Operation(Kind.CLOSE, row_of(entry, self._database.instance)))

    async def forget(self, entry: Entry) -> None:
        """Take back an entry that was opened; returns when that is durable. Raises LedgerUnavailable if it is later."""
        row = row_of(entry, self._database.instance)
        if not self._database.release(row):
            await self._journal.write(Operation(Kind.FORGET, row))

    async def usage(self, query: UsageQuery) -> UsageReport:
        """Sum the settled and lost entries that match. Raises LedgerUnavailable."""
        return await self._read(partial(sums.usage, query=query))

    async def spent(self, since: float) -> Sequence[Spending]:
        """What each tenant's users, agents and keys have cost since `since` (unix seconds), HELD entries left out."""
        return await self._read(partial(sums.spent, since=since))

    async def stop(self) -> None:
        """Write what has arrived, and let go of the database; what cannot be written is charged at the next start."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait([self._tending])
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_FLUSH):
                await self._journal.close()
        if self.waiting:
            reason = self.fault or "the database does not answer"
            self._log.error("attempts will be charged their estimates", reason=reason, attempts=self.waiting)
        await asyncio.wait([self._writer.run(self._database.close)], timeout=LONGEST_CLOSE)
        for worker in (self._reader, self._tidier, self._writer):
            worker.stop()

    def _tell(self, fault: str) -> None:
        if fault:
            self._log.error("the ledger cannot be written", reason=fault)
        else:
            self._log.info("the ledger is written again", written=self._journal.written)
        if self._changed is not None:
            self._changed(fault)

    async def _read(self, look: Callable[[Connection], T]) -> T:
        return await self._in_a_transaction(look, self._reader.run)

    async def _change(self, change: Callable[[Connection], T]) -> T:
        return await self._in_a_transaction(change, self._journal.alone)

    async def _in_a_transaction(
        self, work: Callable[[Connection], T], run: Callable[[Callable[[], T]], Awaitable[T]]
    ) -> T:
        def transact() -> T:
            with self._database.transaction() as connection:
                return work(connection)

        try:
            return await run(transact)
        except DatabaseFault as fault:
            raise LedgerUnavailable(str(fault)) from fault

    async def _tend(self) -> None:
        """Every second tidy after what was written, or else sign; and look after old rows now and then."""
        written, tended_at = 0, 0.0
        while True:
            try:
                if not tended_at or self._clock.monotonic() - tended_at >= TEND_EVERY:
                    tended_at = self._clock.monotonic()
                    await self._look_after_old_rows()
                if self._journal.written != written and not self.fault:
                    written = self._journal.written
                    await self._tidy()
                elif not self.fault:
                    await self._writer.run(self._database.sign)
            except (LedgerUnavailable, DatabaseFault) as fault:
                self._log.warning("the ledger was not tended", reason=str(fault))
            except Exception as error:  # noqa: BLE001 - nobody else tends it, and it grows
                self._log.exception("the ledger was not tended", error)
            await self._clock.sleep(TIDY_EVERY)

    async def _tidy(self) -> None:
        if await self._tidier.run(self._database.tidy):
            await self._journal.alone(self._database.tidy)

    async def _look_after_old_rows(self) -> None:
        await self._charge_losses()
        self._database.compact()
        now = self._clock.wall()
        detail_from = (now - min(old_rows.DETAIL, self._retention)) // 86400 * 86400
        while await self._change(partial(old_rows.roll_up, self._database, before=detail_from)):
            await self._clock.sleep(BREATH)
        await self._change(partial(old_rows.drop_days, before=now - self._retention))

    async def _charge_losses(self) -> int:
        lost = await self._change(partial(old_rows.charge_losses, self._database))
        if lost:
            self._log.warning("attempts of a daemon that died were charged their estimates", attempts=lost)
        return lost
