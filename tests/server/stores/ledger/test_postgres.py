"""The ledger in PostgreSQL: shared by daemons, and through the loss of the server."""

import asyncio
import importlib
import signal
import sys
from collections.abc import Iterator

import pytest

from fakes.ledger import held, ledger_on, put, settled, until
from fakes.postgres import Postgres, postgres_server
from penstockd.clock import SystemClock
from penstockd.ledger import CannotOpenLedger, LedgerUnavailable, UsageQuery
from penstockd.stores.ledger import journal, upkeep
from penstockd.stores.ledger.database import Database
from penstockd.stores.ledger.operations import Kind, Operation, row_of
from penstockd.stores.ledger.postgres import PostgresDatabase
from penstockd.stores.ledger.stored_ledger import StoredLedger


@pytest.fixture(scope="module")
def fragile() -> Iterator[Postgres]:
    """A server of this file's own, to be stopped."""
    with postgres_server() as running:
        yield running


async def test_daemons_share_a_ledger(server: Postgres) -> None:
    """Both make the tables at once, and each counts what the other wrote."""
    url = server.database()
    databases = await asyncio.gather(*(asyncio.to_thread(PostgresDatabase, url) for _ in range(4)))
    ledgers = [ledger_on(database) for database in databases]

    await asyncio.gather(*(put(ledger, settled()) for ledger in ledgers))
    totals = [(await ledger.usage(UsageQuery())).total.requests for ledger in ledgers]
    for ledger in ledgers:
        await ledger.stop()

    assert totals == [4] * 4


def test_only_attempts_of_daemons_that_are_gone_are_charged(server: Postgres) -> None:
    """Those of a daemon that runs are its own, and so are ours; each loss is charged by one of the others."""
    url = server.database()
    dead, living, ours = (PostgresDatabase(url) for _ in range(3))
    for database in (dead, living, ours):
        database.write([Operation(Kind.OPEN, row_of(held(), database.instance))])
    dead.close()

    charged = [charge_losses(database) for database in (ours, living, ours)]
    living.close()
    charged.append(charge_losses(ours))
    ours.close()

    assert charged == [1, 0, 0, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
async def test_a_server_that_restarts_in_the_middle_loses_nothing(fragile: Postgres, number: signal.Signals) -> None:
    """Under load: every attempt is settled once, though some were refused or kept meanwhile."""
    ledger = ledger_on(PostgresDatabase(fragile.database()), SystemClock())
    faults: list[str] = []
    await ledger.start(faults.append)
    load = asyncio.create_task(calls(ledger, seconds=3.0))
    await asyncio.sleep(0.7)

    await asyncio.to_thread(fragile.stop, number)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(fragile.start)
    opened, refused = await load
    await until(lambda: not ledger.fault)

    total = (await ledger.usage(UsageQuery())).total
    await ledger.stop()
    assert refused > 0
    assert total.requests == total.cost_nanousd == opened > 100
    assert faults[0].startswith("PostgreSQL says: ")
    assert faults[-1] == ""


async def test_a_connection_that_was_lost_while_idle_is_no_fault(fragile: Postgres) -> None:
    """A firewall may have forgotten it; the next write connects anew."""
    ledger = ledger_on(PostgresDatabase(fragile.database()), SystemClock())
    faults: list[str] = []
    await ledger.start(faults.append)
    await put(ledger, settled())
    await asyncio.to_thread(fragile.stop)
    await asyncio.to_thread(fragile.start)

    await put(ledger, settled())

    assert faults == []
    assert (await ledger.usage(UsageQuery())).total.requests == 2
    await ledger.stop()


async def test_a_server_that_stands_still_holds_up_nobody(fragile: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers wait for a bounded time, and what was kept is written when it moves again."""
    monkeypatch.setattr(journal, "PATIENCE", 0.3)
    ledger = ledger_on(PostgresDatabase(fragile.database()), SystemClock())
    await ledger.start(lambda _: None)
    entry = held()
    await ledger.open(entry)
    fragile.freeze()
    try:
        with pytest.raises(LedgerUnavailable, match="does not answer"):
            await ledger.close(settled(entry))
        with pytest.raises(LedgerUnavailable, match="does not answer"):
            await ledger.open(held())
    finally:
        fragile.thaw()

    await until(lambda: not ledger.fault)

    assert (await ledger.usage(UsageQuery())).total.requests == 1
    await ledger.stop()


def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    """At the start, in one line."""
    with pytest.raises(CannotOpenLedger, match="cannot open the ledger: PostgreSQL says: ") as caught:
        PostgresDatabase("postgresql://penstock:hunter2@127.0.0.1:1/ledger")

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_driver_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain installation of the daemon has no PostgreSQL."""
    importlib.invalidate_caches()
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(CannotOpenLedger, match=r"needs psycopg: pip install 'penstock\[postgres\]'"):
        PostgresDatabase("postgresql://127.0.0.1/ledger")


def charge_losses(database: Database) -> int:
    """Charge what other daemons left behind."""
    with database.transaction() as connection:
        return upkeep.charge_losses(database, connection)


async def calls(ledger: StoredLedger, seconds: float) -> tuple[int, int]:
    """Let four callers make attempts of one nano-USD for some time; return how many were opened, and how many not."""
    counts = [0, 0]
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds

    async def call() -> None:
        while loop.time() < ends_at:
            entry = held()
            try:
                await ledger.open(entry)
            except LedgerUnavailable:
                counts[1] += 1
                await asyncio.sleep(0.05)
                continue
            counts[0] += 1
            try:
                await ledger.close(settled(entry, cost_nanousd=1))
            except LedgerUnavailable:
                continue

    await asyncio.gather(*(call() for _ in range(4)))
    return counts[0], counts[1]
