"""Entries of a ledger, and what a test needs to keep one."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from fakes.clock import FakeClock, RunningClock
from penstockd.clock import Clock
from penstockd.ledger import Entry, EntryStatus, Loss
from penstockd.logs.log import Log
from penstockd.stores.ledger.database import Database
from penstockd.stores.ledger.stored_ledger import StoredLedger
from penstockd.usage import Usage

OpenDatabase = Callable[[], Database]
"""Opens the same ledger's database, as another daemon would."""

YEAR = 366 * 86400.0

_numbers = count(1)


def held(**fields: Any) -> Entry:  # noqa: ANN401 - as an entry has them
    """An attempt on its way: 10 + 20 tokens, 1,000 nano-USD."""
    plain = Entry(
        call_id=f"call-{next(_numbers)}",
        attempt=1,
        at=FakeClock().wall(),
        request_id="r",
        tenant="acme",
        key="web",
        user_id="u1",
        agent="support",
        model="fast",
        status=EntryStatus.HELD,
        usage=Usage(uncached_input=10, output=20),
        cost_nanousd=1000,
        is_estimated=True,
    )
    return replace(plain, **fields)


def settled(entry: Entry | None = None, **fields: Any) -> Entry:  # noqa: ANN401 - as above
    """An attempt that answered, by the provider's count."""
    return replace(entry or held(), **{"status": EntryStatus.OK, "is_estimated": False, **fields})


def ledger_on(database: Database, clock: Clock | None = None, retention: float = YEAR) -> StoredLedger:
    """A ledger that is not started yet."""
    return StoredLedger(
        database,
        retention=retention,
        clock=clock or RunningClock(),
        random=lambda: 1.0,
        log=Log("ledger"),
        committed=lambda _: None,
    )


async def uncounted(losses: Sequence[Loss]) -> None:
    """Have no budget in which losses count."""


async def put(ledger: StoredLedger, *entries: Entry) -> None:
    """Hold and settle attempts."""
    for entry in entries:
        await ledger.hold(replace(entry, status=EntryStatus.HELD))
        await ledger.settle(entry)


async def until(is_so: Callable[[], bool], clock: FakeClock | None = None, *, step: float = 0.5) -> None:
    """Return when `is_so`; a fake clock goes on by `step` seconds at a time meanwhile."""
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.002)
            if clock is not None:
                clock.advance(step)


def sqlite_file(directory: Path) -> Path:
    """Where a test's SQLite ledger is."""
    return directory / "state" / "ledger.db"
