"""The ledger in PostgreSQL: shared by daemons, and through the loss of the server."""

import asyncio
import importlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing

import pytest

from fakes.clock import FakeClock
from fakes.ledger import held, ledger_on, put, settled, uncounted, until
from peers.postgres import Postgres, postgres_server
from penstockd import lifecycle
from penstockd.clock import SystemClock
from penstockd.ledger import CannotOpenLedger, LedgerUnavailable, UsageQuery
from penstockd.stores.ledger import journal, old_rows, stored_ledger
from penstockd.stores.ledger.database import Database
from penstockd.stores.ledger.operations import PROBE, Kind, Operation, row_of
from penstockd.stores.ledger.postgres import PostgresDatabase
from penstockd.stores.ledger.stored_ledger import StoredLedger


@pytest.fixture(scope="module")
def on_tcp() -> Iterator[Postgres]:
    """A server that is not reached through a socket of its machine."""
    with postgres_server(is_on_tcp=True) as running:
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


async def test_only_attempts_of_daemons_that_are_gone_are_charged(server: Postgres) -> None:
    """Those of a daemon that runs are its own, and so are ours; each loss is charged by one of the others.

    The server learns that a daemon is gone in a moment of its own.
    """
    url = server.database()
    dead, living, ours = (PostgresDatabase(url) for _ in range(3))
    for database in (dead, living, ours):
        database.write([Operation(Kind.HOLD, row_of(held(), database.instance))])

    dead.close()
    await until(lambda: charge_losses(ours) == 1)
    charged = [charge_losses(database) for database in (living, ours)]
    living.close()
    await until(lambda: charge_losses(ours) == 1)
    charged.append(charge_losses(ours))
    ours.close()

    assert charged == [0, 0, 0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
async def test_a_server_that_restarts_in_the_middle_loses_nothing(postgres: Postgres, number: signal.Signals) -> None:
    """Under load: every attempt is settled once, though some were refused or kept meanwhile."""
    ledger = ledger_on(PostgresDatabase(postgres.database()), SystemClock())
    faults: list[str] = []
    await ledger.start(faults.append, uncounted)
    load = asyncio.create_task(calls(ledger, seconds=3.0))
    await asyncio.sleep(0.7)

    await asyncio.to_thread(postgres.stop, number)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(postgres.start)
    made, refused = await load
    await until(lambda: not ledger.fault)

    total = (await ledger.usage(UsageQuery())).total
    await ledger.stop()
    assert refused > 0
    assert total.requests == total.cost_nanousd == made > 100
    assert faults[0].startswith("PostgreSQL says: ")
    assert faults[-1] == ""


async def test_a_connection_that_was_lost_while_idle_is_no_fault(postgres: Postgres) -> None:
    """A firewall may have forgotten it; the next write connects anew."""
    ledger = ledger_on(PostgresDatabase(postgres.database()), SystemClock())
    faults: list[str] = []
    await ledger.start(faults.append, uncounted)
    await put(ledger, settled())
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)

    await put(ledger, settled())

    assert faults == []
    assert (await ledger.usage(UsageQuery())).total.requests == 2
    await ledger.stop()


async def test_a_server_that_stands_still_holds_up_nobody(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers wait for a bounded time, and what was kept is written when it moves again."""
    monkeypatch.setattr(journal, "PATIENCE", 0.3)
    ledger = ledger_on(PostgresDatabase(postgres.database()), SystemClock())
    await ledger.start(lambda _: None, uncounted)
    entry = held()
    await ledger.hold(entry)
    postgres.freeze()
    try:
        with pytest.raises(LedgerUnavailable, match="does not answer"):
            await ledger.settle(settled(entry))
        with pytest.raises(LedgerUnavailable, match="does not answer"):
            await ledger.hold(held())
    finally:
        postgres.thaw()

    await until(lambda: not ledger.fault)

    assert (await ledger.usage(UsageQuery())).total.requests == 1
    await ledger.stop()


async def test_whose_time_ends_first_is_told_that_the_server_stands_still(postgres: Postgres) -> None:
    """Before it ends, while nobody knows yet whether that is a fault; and what it would have held is taken back."""
    clock, database = SystemClock(), PostgresDatabase(postgres.database())
    ledger = ledger_on(database, clock)
    await ledger.start(lambda _: None, uncounted)
    postgres.freeze()
    try:
        ends_at = clock.monotonic() + 0.5
        with pytest.raises(LedgerUnavailable, match="does not answer"):
            await ledger.hold(held(), ends_at)
        left, fault = ends_at - clock.monotonic(), ledger.fault
        with pytest.raises(LedgerUnavailable, match="does not answer"):
            await ledger.hold(held(), clock.monotonic())
    finally:
        postgres.thaw()
    await put(ledger, settled())
    with database.transaction() as connection:
        rows = connection.exec_driver_sql("SELECT status FROM attempts").scalars().all()
    await ledger.stop()

    assert (left > 0, fault, rows) == (True, "", ["ok"])


async def test_a_server_that_stands_still_is_left_in_time(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not written then is charged at the next start, and the daemon's own patience is never used up."""
    assert stored_ledger.LONGEST_FLUSH + stored_ledger.LONGEST_CLOSE <= lifecycle.LONGEST_CLOSE - 5
    monkeypatch.setattr(stored_ledger, "LONGEST_FLUSH", 0.2)
    monkeypatch.setattr(stored_ledger, "LONGEST_CLOSE", 0.1)
    ledger = ledger_on(PostgresDatabase(postgres.database()), SystemClock())
    await ledger.start(lambda _: None, uncounted)
    entry = held()
    await ledger.hold(entry)
    postgres.freeze()
    try:
        ending = asyncio.create_task(ledger.settle(settled(entry)))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            await ledger.stop()
    finally:
        postgres.thaw()
        ending.cancel()
        await asyncio.wait([ending])


def test_a_connection_that_was_lost_is_no_line_in_the_log(postgres: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    """Several rows are written anew at once; what the driver ignored meanwhile is of no use to an operator."""
    with closing(PostgresDatabase(postgres.database())) as database:
        database.write([PROBE])
        postgres.cut_sessions()

        database.write([Operation(Kind.SETTLE, row_of(settled(), database.instance)) for _ in range(3)])

    assert caplog.records == []


async def test_a_daemon_whose_session_was_cut_shows_again_that_it_runs(postgres: Postgres) -> None:
    """Also while it writes nothing, so that no other charges the attempts that it has on their way."""
    url, clock = postgres.database(), FakeClock()
    async with holding(url, clock) as faults:
        postgres.cut_sessions()
        with closing(PostgresDatabase(url)) as other:
            await until(lambda: signs(other) == 1, clock)
            charged = charge_losses(other)

    assert (charged, faults) == (0, [])


async def test_a_server_that_is_away_while_nothing_is_written_is_no_fault(postgres: Postgres) -> None:
    """Whoever writes would be told; when it is back, the daemon signs."""
    url, clock = postgres.database(), FakeClock()
    async with holding(url, clock) as faults:
        postgres.stop()
        for _ in range(10):
            clock.advance(1.0)
            await asyncio.sleep(0.01)
        postgres.start()
        with closing(PostgresDatabase(url)) as other:
            await until(lambda: signs(other) == 1, clock)

    assert faults == []


@asynccontextmanager
async def holding(url: str, clock: FakeClock) -> AsyncIterator[list[str]]:
    """A daemon's ledger with an attempt on its way; what it was told of faults."""
    ledger = ledger_on(PostgresDatabase(url), clock)
    faults: list[str] = []
    await ledger.start(faults.append, uncounted)
    await ledger.hold(held())
    yield faults
    await ledger.stop()


SETTINGS = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout", "work_mem")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["5", "2", "3", "5000", "1234kB"]),
        ("&options=-c%20tcp_keepalives_idle%3D60", ["60", "2", "3", "5000", "4MB"]),
    ],
)
def test_the_server_ends_the_session_of_a_daemon_that_vanished(
    on_tcp: Postgres, monkeypatch: pytest.MonkeyPatch, query: str, expected: Sequence[str]
) -> None:
    """Soon, as the sign of a daemon is its session; the URL's own options win, or else the environment's are kept."""
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1234kB")

    with closing(PostgresDatabase(on_tcp.database() + query)) as database, database.transaction() as connection:
        found = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in SETTINGS]

    assert found == expected


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP"])
def test_a_database_that_does_not_hold_every_letter_is_refused(server: Postgres, encoding: str) -> None:
    """A caller's name would be a fault for all others."""
    with pytest.raises(CannotOpenLedger, match=rf"the encoding {encoding} of its database .* ENCODING 'UTF8'"):
        PostgresDatabase(server.database(encoding))


@pytest.mark.parametrize("encoding", ["UTF8", "SQL_ASCII"])
async def test_every_letter_is_kept(server: Postgres, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says of letters."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    ledger = ledger_on(PostgresDatabase(server.database(encoding)))
    await ledger.start(lambda _: None, uncounted)
    await put(ledger, settled(user_id="日本 Ωµ"))

    report = await ledger.usage(UsageQuery())
    await ledger.stop()

    assert [name for name, _ in report.by_user] == ["日本 Ωµ"]


def test_a_user_who_may_not_do_everything_is_refused_with_what_is_lacking(server: Postgres) -> None:
    """At the start, and not at the first row that it may not take back."""
    url = server.database()
    PostgresDatabase(url).close()
    for statement in (
        "DROP ROLE IF EXISTS clerk",
        "CREATE ROLE clerk LOGIN",
        "GRANT SELECT, INSERT, UPDATE ON attempts, days, schema_version TO clerk",
    ):
        server.execute(statement, url)

    with pytest.raises(CannotOpenLedger, match=r"lacks DELETE on attempts, DELETE on days: GRANT that$"):
        PostgresDatabase(url.replace("penstock@", "clerk@"))

    server.execute("GRANT DELETE ON attempts, days TO clerk", url)
    PostgresDatabase(url.replace("penstock@", "clerk@")).close()
    server.execute("DROP OWNED BY clerk", url)
    server.execute("DROP ROLE clerk", url)


def test_a_schema_of_its_own_keeps_the_ledger_apart(server: Postgres) -> None:
    """Somebody else's tables may be in a schema behind it."""
    url = server.database()
    for statement in ("CREATE TABLE schema_version (version TEXT)", "CREATE TABLE attempts (id INTEGER)"):
        server.execute(statement, url)
    server.execute("CREATE SCHEMA penstock", url)

    for _ in range(2):
        with closing(PostgresDatabase(url)) as database:
            database.write([Operation(Kind.SETTLE, row_of(settled(), database.instance))])

    with closing(PostgresDatabase(url)) as database, database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM penstock.attempts").scalar_one() == 2
        assert connection.exec_driver_sql("SELECT count(*) FROM public.attempts").scalar_one() == 0


def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    """At the start, in one line."""
    with pytest.raises(CannotOpenLedger, match="cannot open the ledger: PostgreSQL says: ") as caught:
        PostgresDatabase("postgresql://penstock:hunter2@127.0.0.1:1/ledger")

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_hosts_that_do_not_go_together_are_said_with_how_they_do(server: Postgres) -> None:
    """A server and its standby are one URL; its password is not said."""
    with pytest.raises(
        CannotOpenLedger, match=r"hosts and ports don't match; .* \?host=db1:5432&host=db2:5432"
    ) as caught:
        PostgresDatabase("postgresql://u:hunter2@/db?host=/tmp/x&port=1,2")

    assert "hunter2" not in str(caught.value)
    base, _, query = server.database().partition("?")
    host, port = (part.partition("=")[2] for part in query.split("&"))
    PostgresDatabase(f"{base}?host=127.0.0.1:1&host={host}:{port}&target_session_attrs=read-write").close()


@pytest.mark.parametrize("parameter", ["row_factory=1", "autocommit=1", "foo=1"])
def test_a_parameter_that_postgresql_has_not_is_said(server: Postgres, parameter: str) -> None:
    """In one line, whatever the driver would make of it."""
    name = parameter.partition("=")[0]

    with pytest.raises(CannotOpenLedger, match=rf"PostgreSQL knows no {name}: take that out of DATABASE_URL") as caught:
        PostgresDatabase(f"{server.database()}&{parameter}")

    assert "\n" not in str(caught.value)


def test_what_is_looked_at_is_the_ledger_at_one_moment(server: Postgres) -> None:
    """Parts that are summed one after another add up to the total, whatever is written meanwhile."""
    counts = []
    with closing(PostgresDatabase(server.database())) as database:
        for _ in range(2):
            with database.transaction(only_reads=True) as connection:
                counts.append(connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one())
                database.write([Operation(Kind.SETTLE, row_of(settled(), database.instance))])
                counts.append(connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one())

    assert counts == [0, 0, 1, 1]


def test_without_the_driver_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain installation of the daemon has no PostgreSQL."""
    importlib.invalidate_caches()
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(CannotOpenLedger, match=r"needs psycopg: pip install 'penstock\[postgres\]'"):
        PostgresDatabase("postgresql://127.0.0.1/ledger")


def signs(database: Database) -> int:
    """How many daemons show that they run."""
    with database.transaction() as connection:
        locks = (
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE locktype = 'advisory' AND objid > 0 AND datname = current_database()"
        )
        return int(connection.exec_driver_sql(locks).scalar_one())


def charge_losses(database: Database) -> int:
    """Charge what other daemons left behind."""
    with database.transaction() as connection:
        return len(old_rows.charge_losses(database, connection))


async def calls(ledger: StoredLedger, seconds: float) -> tuple[int, int]:
    """Let four callers make attempts of one nano-USD for some time; return how many were made, and how many not."""
    counts = [0, 0]
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds

    async def call() -> None:
        while loop.time() < ends_at:
            entry = held()
            try:
                await ledger.hold(entry)
            except LedgerUnavailable:
                counts[1] += 1
                await asyncio.sleep(0.05)
                continue
            counts[0] += 1
            try:
                await ledger.settle(settled(entry, cost_nanousd=1))
            except LedgerUnavailable:
                continue

    await asyncio.gather(*(call() for _ in range(4)))
    return counts[0], counts[1]
