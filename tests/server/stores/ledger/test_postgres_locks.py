"""Whatever is locked in PostgreSQL, and whoever stands still there, holds up nobody without a word."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, event

from fakes.clock import FakeClock
from fakes.ledger import held, ledger_on, put, settled, uncounted, until
from peers.postgres import Postgres
from penstockd.ledger import CannotOpenLedger, LedgerUnavailable, Loss, UsageQuery
from penstockd.stores.ledger import journal, postgres, postgres_locks, stored_ledger, sums
from penstockd.stores.ledger.operations import Kind, Operation, row_of
from penstockd.stores.ledger.postgres import PostgresDatabase
from penstockd.stores.ledger.tending import TEND_AGAIN, TEND_EVERY

DAY = 86400.0


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no lock for as long as a daemon does."""
    monkeypatch.setattr(postgres_locks, "PATIENCE", 0.1)
    monkeypatch.setattr(postgres_locks, "PATIENCE_AT_START", 0.3)


def test_each_wait_is_over_before_the_next_one_that_hangs_on_it() -> None:
    """What a daemon that stands still has locked is free before a start gives up; a caller outwaits every lock."""
    assert postgres_locks.LONGEST_PAUSE < postgres_locks.PATIENCE_AT_START
    assert postgres_locks.PATIENCE < journal.PATIENCE


async def test_tending_that_meets_a_lock_holds_up_no_call(
    server: Postgres, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, with who has it and what to do, and done when the lock is gone."""
    monkeypatch.setattr(postgres_locks, "PATIENCE", 2.0)
    caplog.set_level("INFO")
    url, clock = server.database(), FakeClock()
    ledger = ledger_on(PostgresDatabase(url), clock)
    await ledger.start(lambda _: None, uncounted)
    with psycopg.connect(url, application_name="somebody") as other:
        other.execute("LOCK TABLE days IN ACCESS EXCLUSIVE MODE")
        process = other.info.backend_pid
        await until(lambda: bool(told(caplog)), clock, step=TEND_AGAIN)
        for _ in range(3):
            clock.advance(TEND_AGAIN)
            await asyncio.sleep(0.2)
            async with asyncio.timeout(1):
                await put(ledger, settled(at=clock.wall()))
        assert len(told(caplog)) == 1
    await until(lambda: len(told(caplog)) == 2, clock, step=TEND_AGAIN)
    await ledger.stop()

    reason = "PostgreSQL says: canceling statement due to lock timeout"
    holder = f"process {process} there (somebody) has it locked"
    remedy = f"let that end, or end it with SELECT pg_terminate_backend({process})"
    assert told(caplog) == [
        f"the ledger was not tended: {reason}; {holder}: {remedy}",
        "the ledger is tended again: ",
    ]


@pytest.mark.usefixtures("_impatient")
async def test_a_daemon_that_stands_still_while_it_tends_holds_up_no_other(
    server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """The others come back later, and have nothing to say."""
    url, clock = server.database(), FakeClock()
    ledger = ledger_on(PostgresDatabase(url), clock)
    await ledger.start(lambda _: None, uncounted)
    with closing(PostgresDatabase(url)) as still, still.transaction() as connection:
        assert still.lock(connection)
        for _ in range(3):
            await asyncio.sleep(0.2)
            clock.advance(TEND_EVERY)
            await put(ledger, settled(at=clock.wall()))
    await ledger.stop()

    assert told(caplog) == []


async def test_a_daemon_that_stops_while_it_waits_for_a_lock_leaves_no_session(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has begun would hold up others for as long as it waits."""
    monkeypatch.setattr(postgres_locks, "PATIENCE", 2.0)
    url, clock = server.database(), FakeClock()
    ledger = ledger_on(PostgresDatabase(url), clock)
    await ledger.start(lambda _: None, uncounted)
    with psycopg.connect(url, autocommit=True) as watcher, psycopg.connect(url) as other:
        other.execute("LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE")
        await until(lambda: bool(ours(watcher, waiting=True)), clock, step=TEND_AGAIN)

        await ledger.stop()

        async with asyncio.timeout(1):  # for the server to see that they ended
            await until(lambda: not ours(watcher))


def test_a_look_may_stand_still(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has locked nobody out, and may have a long list to make of what it found."""
    monkeypatch.setattr(postgres_locks, "LONGEST_PAUSE", 0.1)
    with (
        closing(PostgresDatabase(server.database())) as database,
        database.transaction(only_reads=True) as connection,
    ):
        time.sleep(0.4)

        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1


async def test_a_sum_of_what_was_spent_may_take_longer_than_other_looks(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it no daemon starts on a large ledger."""
    limits: list[str] = []

    def look(connection: Connection, **_: object) -> None:
        limits.append(connection.exec_driver_sql("SHOW statement_timeout").scalar_one())

    monkeypatch.setattr(sums, "usage", look)
    monkeypatch.setattr(sums, "spent", look)
    ledger = ledger_on(PostgresDatabase(server.database()))
    await ledger.usage(UsageQuery())
    await ledger.spent(0.0, None)
    await ledger.stop()

    assert limits == ["1min", "10min"]


def test_a_migration_may_take_as_long_as_it_does(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that is ended in the middle of it would be ended there each time."""
    limits: list[str] = []

    def migrate(connection: Connection) -> None:
        limits.append(connection.exec_driver_sql("SHOW statement_timeout").scalar_one())

    monkeypatch.setattr(postgres, "migrate", migrate)
    PostgresDatabase(server.database()).close()

    assert limits == ["0"]


@pytest.mark.usefixtures("_impatient")
def test_whoever_has_its_turn_is_not_named_for_a_lock_of_somebody_elses(server: Postgres) -> None:
    """To end that session would help nobody."""
    url = server.database()
    with closing(PostgresDatabase(url)) as database, psycopg.connect(url) as innocent, psycopg.connect(url) as other:
        database.write([Operation(Kind.HOLD, row_of(held(), database.instance))])
        innocent.execute("SELECT pg_advisory_xact_lock(%s, 0)", [postgres_locks.NAMESPACE])
        other.execute("SELECT * FROM attempts FOR UPDATE")

        with (
            pytest.raises(LedgerUnavailable, match=r"a session there has it locked"),
            database.transaction() as connection,
        ):
            connection.exec_driver_sql("DELETE FROM attempts")


async def test_what_is_settled_while_old_rows_are_rolled_up_is_not_lost(server: Postgres) -> None:
    """It stays as it is until the next time."""
    url, clock = server.database(), FakeClock()
    first = settled(cost_nanousd=5, at=clock.wall() - 50 * DAY)
    second = replace(held(cost_nanousd=7, at=first.at), call_id=first.call_id, attempt=2)
    with closing(PostgresDatabase(url)) as database, closing(PostgresDatabase(url)) as other:
        other.write([Operation(Kind.SETTLE, row_of(first, other.instance))])
        other.write([Operation(Kind.HOLD, row_of(second, other.instance))])
        ledger = ledger_on(database, clock)
        await ledger.start(lambda _: None, uncounted)
        with before_the_delete(lambda: other.write([Operation(Kind.SETTLE, row_of(settled(second), other.instance))])):
            await until(lambda: days(other) == 1, clock, step=TEND_AGAIN)
        total = (await ledger.usage(UsageQuery())).total
        await ledger.stop()

    assert total.cost_nanousd == 12


async def test_old_rows_that_change_while_they_are_rolled_up_are_rolled_up_later(
    server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Of which nobody need be told."""
    url, clock = server.database(), FakeClock()
    entry = settled(cost_nanousd=5, at=clock.wall() - 50 * DAY)
    overtaken: list[bool] = []
    with closing(PostgresDatabase(url)) as database, closing(PostgresDatabase(url)) as other:
        again = [Operation(Kind.SETTLE, row_of(entry, other.instance))]

        def overtake() -> None:
            overtaken.append(days(other) == 0)
            if len(overtaken) == 1:
                other.write(again)

        other.write(again)
        ledger = ledger_on(database, clock)
        await ledger.start(lambda _: None, uncounted)
        with before_the_delete(overtake):
            await until(lambda: days(other) == 1, clock, step=TEND_AGAIN)
        total = (await ledger.usage(UsageQuery())).total
        await ledger.stop()

    assert overtaken == [True, True]
    assert (total.requests, total.cost_nanousd, told(caplog)) == (1, 5, [])


@pytest.mark.usefixtures("_impatient")
def test_the_transaction_of_a_daemon_that_stands_still_is_ended(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the server, so that whoever starts need not wait for it."""
    monkeypatch.setattr(postgres_locks, "LONGEST_PAUSE", 1.0)  # also of the one that starts
    monkeypatch.setattr(postgres_locks, "PATIENCE_AT_START", 5.0)
    url = server.database()

    def stand_still(database: PostgresDatabase) -> None:
        with database.transaction() as connection:
            assert database.lock(connection)
            PostgresDatabase(url).close()
            connection.exec_driver_sql("SELECT 1")

    with closing(PostgresDatabase(url)) as database, pytest.raises(LedgerUnavailable):
        stand_still(database)


@pytest.mark.usefixtures("_impatient")
def test_a_start_waits_for_whoever_makes_the_tables_and_says_so(server: Postgres) -> None:
    """For a while; then in one line."""
    url = server.database()
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, 0)", [postgres_locks.NAMESPACE])

        with pytest.raises(
            CannotOpenLedger, match=rf"process {other.info.backend_pid} there has it locked: "
        ) as caught:
            PostgresDatabase(url)

    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("_impatient")
async def test_a_start_under_a_lock_says_who_has_it(server: Postgres) -> None:
    """As whoever asks what was used is told; when it is gone, a start may do."""
    url = server.database()
    ledger = ledger_on(PostgresDatabase(url))
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE attempts")
        blamed = rf"process {other.info.backend_pid} there has it locked: .* SELECT pg_terminate_backend"

        with pytest.raises(LedgerUnavailable, match=blamed):
            await ledger.spent(0.0, None)
        with pytest.raises(CannotOpenLedger, match=f"cannot write the ledger: .*{blamed}"):
            await ledger.start(lambda _: None, uncounted)

    await ledger.start(lambda _: None, uncounted)
    await ledger.stop()


@pytest.mark.usefixtures("_impatient")
async def test_a_row_that_somebody_has_locked_is_said_too(server: Postgres) -> None:
    """Whose it was, PostgreSQL does not tell afterwards; where to look is told."""
    url = server.database()
    with closing(PostgresDatabase(url)) as dead:
        dead.write([Operation(Kind.HOLD, row_of(held(), dead.instance))])
    ledger = ledger_on(PostgresDatabase(url))
    with psycopg.connect(url) as other:
        other.execute("SELECT * FROM attempts FOR UPDATE")

        with pytest.raises(CannotOpenLedger, match=r"a session there has it locked: .* find it in pg_stat_activity"):
            await ledger.start(lambda _: None, uncounted)

    await ledger.stop()


async def test_a_look_that_takes_too_long_is_given_up(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a server that stands still ends nothing by itself."""
    monkeypatch.setattr(stored_ledger, "LONGEST_STATEMENT", 0.1)
    monkeypatch.setattr(stored_ledger, "LONGEST_SUM", 0.2)
    url = server.database()
    ledger = ledger_on(PostgresDatabase(url))
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE attempts")

        with pytest.raises(LedgerUnavailable, match=r"the database has not answered within 0\.2 seconds"):
            await ledger.spent(0.0, None)
        with pytest.raises(LedgerUnavailable, match=r"the database has not answered within 0\.1 seconds"):
            await ledger.usage(UsageQuery())
        with pytest.raises(CannotOpenLedger, match="cannot write the ledger: the database does not answer"):
            await ledger.start(lambda _: None, uncounted)

    assert await ledger.spent(0.0, None) == []
    await ledger.stop()


async def test_losses_are_charged_and_counted_by_one_of_the_others(server: Postgres) -> None:
    """After their start, when the dead daemon's session has ended too: once in the ledger, and in one's budgets."""
    url, clock = server.database(), FakeClock()
    dead = PostgresDatabase(url)
    dead.write([Operation(Kind.HOLD, row_of(held(cost_nanousd=77), dead.instance))])
    ledgers = [ledger_on(PostgresDatabase(url), clock) for _ in range(3)]
    counted: list[Loss] = []

    async def count(losses: Sequence[Loss]) -> None:
        counted.extend(losses)

    for ledger in ledgers:
        await ledger.start(lambda _: None, count)
    assert counted == []
    dead.close()
    await until(lambda: bool(counted), clock, step=TEND_AGAIN)
    for _ in range(10):
        clock.advance(TEND_EVERY)
        await asyncio.sleep(0.02)
    total = (await ledgers[0].usage(UsageQuery())).total
    for ledger in ledgers:
        await ledger.stop()

    assert [loss.cost_nanousd for loss in counted] == [77]
    assert total.cost_nanousd == 77


def ours(watcher: psycopg.Connection, *, waiting: bool = False) -> list[int]:
    """The sessions of daemons there; only those that wait for a lock, if `waiting`."""
    rows = watcher.execute(
        "SELECT pid, wait_event_type FROM pg_stat_activity "
        "WHERE application_name = 'penstockd' AND datname = current_database()"
    )
    return [pid for pid, waits_for in rows if waits_for == "Lock" or not waiting]


def days(database: PostgresDatabase) -> int:
    """How many days are kept as a whole."""
    with database.transaction(only_reads=True) as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM days").scalar_one())


@contextmanager
def before_the_delete(work: Callable[[], None]) -> Iterator[None]:
    """Do `work` each time what was rolled up is about to be deleted."""

    def meanwhile(*arguments: object) -> None:
        if str(arguments[2]).startswith("DELETE FROM attempts"):
            work()

    event.listen(Engine, "before_cursor_execute", meanwhile)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", meanwhile)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of tending, and why."""
    lines = [(record.getMessage(), record.__dict__["fields"].get("reason", "")) for record in caplog.records]
    return [f"{message}: {reason}" for message, reason in lines if "tended" in message]
