"""The order in which the ledger is written: what arrives together is committed together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from math import inf
from typing import TypeAlias, TypeVar

from penstockd.clock import Clock
from penstockd.ledger import LedgerUnavailable
from penstockd.resilience.backoff import Backoff
from penstockd.stores.ledger.database import Writer
from penstockd.stores.ledger.operations import PROBE, Kind, Operation
from penstockd.stores.ledger.worker import Worker

T = TypeVar("T")

LONGEST_GAP = 0.005
"""Seconds from one commit to the next while commits are shared, at most; in a thread, as long as the last one took."""
SHARED_FOR = 8
"""Commits of one row after which the next is not waited with for company."""
PATIENCE = 5.0
"""Seconds that a commit in a thread, or what is done alone, may take before callers are told that there is a fault."""
SILENT = "the database does not answer"
SOUND_FOR = 0.05
"""Seconds for which one commit that went well vouches for the next."""
LARGEST_BATCH = 1000

Batch: TypeAlias = Sequence[tuple[Operation, "asyncio.Future[None]"]]


class Journal:
    """Commits operations in their order: on the event loop where that is cheap, else in a thread.

    An idle journal commits at once, for whoever has company when all who are ready have had a turn; one whose callers
    were seen to share commits leaves a gap in which more may come. After a fault nothing is taken, but what was owed is
    kept, in order, and written when the database is back, which is tried with backoff.
    """

    def __init__(
        self,
        database: Writer,
        worker: Worker,
        *,
        clock: Clock,
        backoff: Backoff,
        changed: Callable[[str], None],
        committed: Callable[[float], None],
    ) -> None:
        """Have nothing to write.

        `changed` is told each new fault, and an empty text when it is over; `committed` how long each commit took.
        """
        self.written = 0
        self.waiting = 0
        """How many settled rows are not yet written; rows that are to be taken back are no loss."""
        self.fault = ""
        self._database = database
        self._worker = worker
        self._clock = clock
        self._backoff = backoff
        self._changed = changed
        self._committed = committed
        self._arrived: list[tuple[Operation, asyncio.Future[None]]] = []
        self._kept: deque[Operation] = deque()
        self._pauses = 0
        self._committed_at = -inf
        self._shared_for = 0
        self._task: asyncio.Task[None] | None = None
        self._is_due = False

    def __repr__(self) -> str:
        state = self.fault or "well"
        return f"<Journal: {state}, {self.written} written, {len(self._arrived)} arrived, {len(self._kept)} kept>"

    @property
    def is_sound(self) -> bool:
        """Whether a commit went well just now; one that stood idle for a while may have met a fault unnoticed."""
        return not self.fault and self._clock.monotonic() - self._committed_at < SOUND_FOR

    async def write(self, operation: Operation) -> None:
        """Return when the operation is durable. Raises LedgerUnavailable; what remains to be done is done later."""
        if operation.kind is Kind.SETTLE:
            self.waiting += 1
        if self.fault:
            if not operation.can_be_refused:
                self._kept.append(operation)
            raise LedgerUnavailable(self.fault)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived.append((operation, waiter))
        self._wake()
        try:
            await waiter
        except asyncio.CancelledError:
            if operation.can_be_refused:
                self._take_back(operation.remains)
            raise

    async def alone(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, run in the thread while nothing is written; a fault if that takes too long."""
        self._pauses += 1
        future = self._worker.run(work)
        future.add_done_callback(self._resume)
        await asyncio.wait([future], timeout=PATIENCE)
        if not future.done() and self._task is None and not self.fault:  # a commit under way fails by itself
            self._fail((), LedgerUnavailable(SILENT))
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Write what has arrived and, if that can be done at once, what was kept."""
        while (self._arrived or self._task is not None) and not self.fault:
            await asyncio.wait([self._task or self._arrived[0][1]])
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._kept:
            await self._write_kept()

    def _take_back(self, operation: Operation) -> None:
        if self.fault:
            self._kept.append(operation)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._arrived.append((operation, waiter))
        self._wake()

    def _resume(self, _: "asyncio.Future[T]") -> None:
        self._pauses -= 1
        if self._arrived:
            self._wake()

    def _wake(self) -> None:
        """See to it that what has arrived is written."""
        if self._is_due or self._task is not None or self._pauses:
            return
        if not self._database.commits_fast:
            self._task = asyncio.create_task(self._write_in_thread())
        # Company that is away together, as callers are whose commit was shared, comes back together.
        elif self._shared_for and (gap := self._committed_at + LONGEST_GAP - self._clock.monotonic()) > 0:
            self._task = asyncio.create_task(self._write_after(gap))
        elif self._database.has_company:
            self._write_soon()
        else:
            self._write_now()

    def _write_soon(self) -> None:
        self._is_due = True
        asyncio.get_running_loop().call_soon(self._write_now)

    async def _write_after(self, gap: float) -> None:
        await self._clock.sleep(gap)
        self._task = None
        self._write_now()

    def _write_now(self) -> None:
        self._is_due = False
        if self._pauses or self.fault:
            return
        batch = self._next_batch()
        started_at = self._clock.monotonic()
        try:
            self._database.write([operation for operation, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            self._fail(batch, error)
        else:
            self._succeed(batch, started_at)
        if self._arrived:  # more than a batch
            self._write_soon()

    async def _write_in_thread(self) -> None:
        while self._arrived and not self.fault:
            started_at = self._clock.monotonic()
            batch = self._next_batch()
            try:
                await self._commit([operation for operation, _ in batch])
            except Exception as error:  # noqa: BLE001 - as above
                self._task = None
                self._fail(batch, error)
                return
            self._succeed(batch, started_at)
            if self._shared_for:
                await self._clock.sleep(min(LONGEST_GAP, self._clock.monotonic() - started_at))
        self._task = None

    async def _commit(self, operations: Sequence[Operation]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                # What has begun goes on when this is over, and is done once more later: that changes nothing.
                await self._worker.run(lambda: self._database.write(operations))
        except TimeoutError as late:
            raise LedgerUnavailable(SILENT) from late

    def _next_batch(self) -> Batch:
        batch, self._arrived = self._arrived[:LARGEST_BATCH], self._arrived[LARGEST_BATCH:]
        return batch

    def _succeed(self, batch: Batch, started_at: float) -> None:
        self.written += len(batch)
        self._shared_for = SHARED_FOR if len(batch) > 1 else max(0, self._shared_for - 1)
        self._committed_at = self._clock.monotonic()
        self._committed(self._committed_at - started_at)
        for operation, waiter in batch:
            if operation.kind is Kind.SETTLE:
                self.waiting -= 1
            if not waiter.done():
                waiter.set_result(None)

    def _fail(self, batch: Batch, error: Exception) -> None:
        """Refuse everybody who waits, keep what remains to be done, and begin to look for the end of the fault."""
        self.fault = str(error) or type(error).__name__
        refused, self._arrived = [*batch, *self._arrived], []
        for operation, waiter in refused:
            self._kept.append(operation.remains)
            if not waiter.done():
                waiter.set_exception(LedgerUnavailable(self.fault))
        self._changed(self.fault)
        self._task = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        attempt = 0
        while self.fault:
            attempt += 1
            await self._clock.sleep(self._backoff.delay(attempt))
            await self._write_kept()
        self._task = None

    async def _write_kept(self) -> None:
        """Write all that was kept, in order, and a probe; then the fault is over."""
        while True:
            batch = list(islice(self._kept, LARGEST_BATCH))
            try:
                await self._commit([*batch, PROBE])
            except Exception as error:  # noqa: BLE001 - as above
                fault = str(error) or type(error).__name__
                if fault != self.fault:
                    self.fault = fault
                    self._changed(fault)
                return
            self.written += len(batch)
            for operation in batch:
                self._kept.popleft()
                if operation.kind is Kind.SETTLE:
                    self.waiting -= 1
            if not self._kept:
                break
        self.fault = ""
        self._changed("")
