"""Looks after what a ledger collects: losses, and rows that have grown old."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection

from penstockd.clock import Clock
from penstockd.ledger import LedgerUnavailable, Loss
from penstockd.logs.log import Log
from penstockd.stores.ledger import old_rows
from penstockd.stores.ledger.database import Database, Overtaken, within

T = TypeVar("T")

TEND_EVERY = 600.0
"""Seconds from one look at losses and old rows to the next."""
TEND_AGAIN = 60.0
"""Seconds to the next look where something stood in the way of one, and to the first: a start has enough to do."""
BREATH = 0.02
"""Seconds between two steps of rolling up, for whoever waits to write."""

Charged: TypeAlias = Callable[[Sequence[Loss]], Awaitable[None]]
"""Who is told what attempts of daemons that died were charged, each once."""


class Run(Protocol):
    """Where a change that blocks is made."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Return what `work` returns."""


class Tending:
    """Charges losses, rolls up and drops."""

    def __init__(self, database: Database, run: Run, *, retention: float, clock: Clock, log: Log) -> None:
        """Have `run` make each change; keep what is older than `retention` seconds no longer."""
        self._database = database
        self._run = run
        self._retention = retention
        self._clock = clock
        self._log = log
        self._in_the_way = ""

    async def charge_losses(self, charged: Charged) -> None:
        """Charge attempts of daemons that are gone their estimates. Raises LedgerUnavailable."""
        losses = await self._change(partial(old_rows.charge_losses, self._database))
        if losses:
            self._log.warning("attempts of a daemon that died were charged their estimates", attempts=len(losses))
            await charged(losses)

    async def keep_up(self, charged: Charged) -> None:
        """For ever, now and then: what stands in the way is said once, and tried again sooner."""
        pause = TEND_AGAIN
        while True:
            await self._clock.sleep(pause)
            pause = TEND_EVERY if await self._is_tended(charged) else TEND_AGAIN

    async def _is_tended(self, charged: Charged) -> bool:
        """Tend it; false if that could not be done."""
        said = self._in_the_way
        try:
            await self._tend(charged)
        except Overtaken:
            return False
        except LedgerUnavailable as fault:
            self._in_the_way = str(fault)
            if not said:
                self._log.warning("the ledger was not tended", reason=self._in_the_way)
        except Exception as error:  # noqa: BLE001 - nobody else tends it, and it grows
            self._in_the_way = type(error).__name__
            if not said:
                self._log.exception("the ledger was not tended", error)
        else:
            self._in_the_way = ""
            if said:
                self._log.info("the ledger is tended again")
        return not self._in_the_way

    async def _tend(self, charged: Charged) -> None:
        await self.charge_losses(charged)
        self._database.compact()
        now = self._clock.wall()
        detail_from = (now - min(old_rows.DETAIL, self._retention)) // 86400 * 86400
        roll_up = partial(old_rows.roll_up, self._database, before=detail_from)
        # What is settled between the sum and the deletion would be lost: both are of one moment.
        while await self._change(roll_up, is_of_one_moment=True):
            await self._clock.sleep(BREATH)
        await self._change(partial(old_rows.drop_days, self._database, before=now - self._retention))

    async def _change(self, change: Callable[[Connection], T], *, is_of_one_moment: bool = False) -> T:
        return await self._run(partial(within, self._database.transaction(is_of_one_moment=is_of_one_moment), change))
