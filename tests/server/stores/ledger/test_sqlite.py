"""The ledger in a file: whose it is, what it survives, and what it says when the disk fails it."""

import asyncio
import json
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from msgspec.structs import asdict
from sqlalchemy import Connection

from fakes.clock import FakeClock
from fakes.ledger import held, ledger_on, put, settled, sqlite_file, uncounted, until
from fakes.small_disk import SmallDisk
from penstockd.clock import SystemClock
from penstockd.ledger import CannotOpenLedger, LedgerUnavailable, UsageQuery
from penstockd.stores.ledger import held_rows, journal, old_rows, sqlite, stored_ledger
from penstockd.stores.ledger.operations import PROBE, Kind, Operation, Row, row_of
from penstockd.stores.ledger.schema import ATTEMPTS
from penstockd.stores.ledger.sqlite import SqliteDatabase
from penstockd.stores.ledger.stored_ledger import StoredLedger

TESTS = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return sqlite_file(tmp_path)


@asynccontextmanager
async def running(path: Path, clock: FakeClock) -> AsyncIterator[tuple[StoredLedger, list[str]]]:
    """A ledger in a file, and the faults it tells."""
    ledger = ledger_on(SqliteDatabase(path, is_durable=False), clock)
    faults: list[str] = []
    await ledger.start(faults.append, uncounted)
    try:
        yield ledger, faults
    finally:
        await ledger.stop()


def test_file_and_directory_are_their_users_alone(path: Path) -> None:
    """Whatever the process's mask; the log beside it as well."""
    mask = os.umask(0)
    try:
        with closing(SqliteDatabase(path, is_durable=False)) as database:
            database.write([PROBE])
            database.hold(row_of(held(), database.instance))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(mask)

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert modes == dict.fromkeys(
        ["ledger.db", "ledger.db-shm", "ledger.db-wal", "ledger.db.held", "ledger.db.lock"], 0o600
    )


def test_a_second_daemon_is_refused_until_the_first_has_gone(path: Path) -> None:
    """One line that says which file it is, and what to do."""
    first = SqliteDatabase(path, is_durable=False)

    said = rf"the ledger {path} belongs to another daemon that runs: stop it, .* PENSTOCK_STATE_DIR, .*DATABASE_URL"
    with pytest.raises(CannotOpenLedger, match=said):
        SqliteDatabase(path, is_durable=False)

    first.close()
    SqliteDatabase(path, is_durable=False).close()


def test_a_file_has_one_daemon_by_whatever_name(path: Path, tmp_path: Path) -> None:
    """A link to it is the same ledger, and what a dead daemon held is found through it."""
    alias = tmp_path / "alias.db"
    alias.symlink_to(path)
    first = SqliteDatabase(path, is_durable=False)
    first.hold(row_of(held(), first.instance))

    with pytest.raises(CannotOpenLedger, match="belongs to another daemon that runs"):
        SqliteDatabase(alias, is_durable=False)

    first.close()
    SqliteDatabase(alias, is_durable=False).close()
    assert count_of(path) == 1
    assert [file.name for file in tmp_path.iterdir() if "alias" in file.name] == ["alias.db"]


async def test_a_file_that_is_moved_away_is_a_fault_until_it_is_back(path: Path) -> None:
    """Nobody has an answer that the next start would not find; what ends meanwhile is kept and written."""
    clock = FakeClock()
    async with running(path, clock) as (ledger, faults):
        await put(ledger, settled())
        entry = held()
        await ledger.hold(entry)
        shutil.move(path, path.with_name("moved.db"))
        with pytest.raises(LedgerUnavailable, match="moved, deleted or replaced: move it back"):
            await ledger.settle(settled(entry))
        with pytest.raises(LedgerUnavailable, match="moved, deleted or replaced"):
            await ledger.hold(held())
        shutil.move(path.with_name("moved.db"), path)

        await until(lambda: not ledger.fault, clock)

        assert len(faults) == 2
        assert (await ledger.usage(UsageQuery())).total.requests == 2


async def test_what_waited_and_for_how_long_is_said_when_a_fault_is_over(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each fault's own, not what was written since the start, nor attempts that were never made."""
    clock = FakeClock()
    with caplog.at_level(logging.INFO):
        async with running(path, clock) as (ledger, _):
            await put(ledger, *(settled() for _ in range(5)))
            for waiting in (1, 3):
                entries = [held() for _ in range(waiting)]
                for entry in entries:
                    await ledger.hold(entry)
                shutil.move(path, path.with_name("moved.db"))
                clock.advance(1.0)
                refused = await asyncio.gather(
                    *(ledger.settle(settled(entry)) for entry in entries), ledger.hold(held()), return_exceptions=True
                )
                assert {type(error) for error in refused} == {LedgerUnavailable}
                clock.advance(60.0)
                shutil.move(path.with_name("moved.db"), path)
                await until(lambda: not ledger.fault, clock)

    told = [record.__dict__["fields"] for record in caplog.records if "written again" in record.message]
    assert [fields["written"] for fields in told] == [1, 3]
    assert all(60_000 <= fields["fault_ms"] < 90_000 for fields in told)


async def test_a_file_that_takes_the_place_of_another_is_left_alone(path: Path) -> None:
    """A backup that was put there under the daemon is not written to until the daemon starts anew."""
    clock = FakeClock()
    async with running(path, clock) as (ledger, _):
        await put(ledger, settled())
        replace_by_an_empty_one(path)
        clock.advance(1.0)
        with pytest.raises(LedgerUnavailable, match="moved, deleted or replaced"):
            await ledger.hold(held())
        await until(lambda: clock.sleeping == 2, clock)
        fault = ledger.fault

    assert "moved, deleted or replaced" in fault
    assert size_of(path) == 0


@pytest.mark.parametrize(("is_durable", "synchronous"), [(False, 1), (True, 2)])
def test_durability_is_how_a_commit_is_written(path: Path, *, is_durable: bool, synchronous: int) -> None:
    """NORMAL in the log survives the process, FULL the machine; neither flushes the disk on its own account."""
    with closing(SqliteDatabase(path, is_durable=is_durable)) as database, database.transaction() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("synchronous", "journal_mode", "wal_autocheckpoint")
        ]

    assert found == [synchronous, "wal", 0]


def test_a_file_that_is_no_ledger_is_refused_with_what_to_do(path: Path) -> None:
    """Corrupt at the start: nobody writes on top of it."""
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 1000)

    with pytest.raises(
        CannotOpenLedger, match="corrupt: stop the daemon, keep a copy of the file, and restore a backup"
    ) as caught:
        SqliteDatabase(path, is_durable=False)

    assert str(path) in str(caught.value)
    assert path.read_bytes().startswith(b"not a database")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """With the system's reason."""
    (tmp_path / "file").touch()

    with pytest.raises(CannotOpenLedger, match="File exists"):
        SqliteDatabase(tmp_path / "file" / "ledger.db", is_durable=False)


async def test_another_programs_lock_is_a_fault_that_passes(path: Path) -> None:
    """The event loop does not wait for it; a closing attempt is kept and written when it is gone."""
    clock = FakeClock()
    async with running(path, clock) as (ledger, faults):
        entry = held()
        await ledger.hold(entry)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerUnavailable, match="another program has it locked"):
                await ledger.settle(settled(entry))
            other.execute("COMMIT")

        await until(lambda: not ledger.fault, clock)

        assert faults == ["another program has it locked", ""]
        assert (await ledger.usage(UsageQuery())).total.requests == 1


async def test_a_full_disk_refuses_new_attempts_and_keeps_what_is_settled(disk: SmallDisk) -> None:
    """And when there is space again, nothing is missing and nothing is there twice."""
    clock = FakeClock()
    async with running(disk.path / "ledger.db", clock) as (ledger, faults):
        running_calls = [held(labels={"x": "y" * 200}) for _ in range(50)]
        for entry in running_calls:
            await ledger.hold(entry)
        disk.fill()

        kept = [entry for entry in running_calls if not await could_settle(ledger, entry)]
        with pytest.raises(LedgerUnavailable, match="the disk is full"):
            await ledger.hold(held())
        refused_while_full = ledger.fault

        disk.free()
        await until(lambda: not ledger.fault, clock)
        await put(ledger, settled())

        total = (await ledger.usage(UsageQuery())).total
        assert kept
        assert refused_while_full == "the disk is full"
        assert (total.requests, total.cost_nanousd) == (51, 50 * 7 + 1000)
        assert faults[0] == "the disk is full"
        assert faults[-1] == ""


@pytest.mark.parametrize("is_durable", [False, True])
def test_an_attempt_that_begins_is_held_beside_the_table_where_that_is_cheaper(path: Path, *, is_durable: bool) -> None:
    """Where the disk is to be flushed anyway, it is committed together with others; the next daemon finds both."""
    dead = SqliteDatabase(path, is_durable=is_durable)
    row = row_of(held(), dead.instance)
    is_held = dead.hold(row)
    if not is_held:
        dead.write([Operation(Kind.HOLD, row)])
    dead.close()

    with closing(SqliteDatabase(path, is_durable=not is_durable)) as database, database.transaction() as connection:
        found = connection.exec_driver_sql("SELECT call_id, status FROM attempts").all()

    assert is_held is not is_durable
    assert [tuple(each) for each in found] == [(row.call_id, "held")]
    assert not path.with_name("ledger.db.held").exists()


def test_company_is_who_else_is_held_beside_the_table(path: Path) -> None:
    """Until it is settled or released."""
    with closing(SqliteDatabase(path, is_durable=False)) as database:
        rows = [row_of(held(), database.instance) for _ in range(3)]
        seen = [database.has_company]
        for row in rows:
            database.hold(row)
            seen.append(database.has_company)
        database.write([Operation(Kind.SETTLE, rows[0])])
        seen.append(database.has_company)
        database.release(rows[1])
        seen.append(database.has_company)

    assert seen == [False, False, True, True, True, False]


def test_a_row_is_the_columns_of_the_table_in_their_order() -> None:
    """By which its values are written."""
    assert list(Row.__struct_fields__) == ATTEMPTS.columns.keys()


async def test_what_is_settled_is_held_no_longer(path: Path) -> None:
    """A clean stop leaves nothing to a next daemon."""
    async with running(path, FakeClock()) as (ledger, _):
        await put(ledger, settled(), settled())
        was_held = path.with_name("ledger.db.held").exists()

    assert was_held
    assert not path.with_name("ledger.db.held").exists()


async def test_after_a_pause_a_commit_must_go_well_before_anything_is_held(path: Path) -> None:
    """A fault that came meanwhile refuses the attempt before anybody is paid for it."""
    clock = FakeClock()
    async with running(path, clock) as (ledger, faults):
        await put(ledger, settled())
        await ledger.hold(held())
        rows_while_sound = count_of(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await ledger.hold(held())
            clock.advance(2 * journal.SOUND_FOR)
            with pytest.raises(LedgerUnavailable, match="another program has it locked"):
                await ledger.hold(held())
            other.execute("COMMIT")

    assert rows_while_sound == 1
    assert faults == ["another program has it locked", ""]


async def test_what_is_rolled_up_is_not_charged_again(path: Path) -> None:
    """Its row is in no table any more: what is held must not bring it back after a death."""
    clock = FakeClock()
    async with running(path, clock) as (ledger, _):
        await put(ledger, settled(at=clock.wall()), settled(at=clock.wall()))
        await ledger.hold(held(at=clock.wall(), cost_nanousd=7))
        await until(lambda: count_of(path) == 0, clock, step=3600.0)
        dead = shutil.copytree(path.parent, path.parent.with_name("dead"))

    ledger = ledger_on(SqliteDatabase(dead / path.name, is_durable=False), clock)
    await ledger.start(lambda _: None, uncounted)
    total = (await ledger.usage(UsageQuery())).total
    await ledger.stop()

    assert (total.requests, total.cost_nanousd) == (3, 2007)


async def test_what_is_rolled_up_is_not_charged_again_after_a_fault_of_the_held_rows_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt is committed in their place, and what they had before must go all the same, as with a clean stop."""
    monkeypatch.setattr(held_rows, "LONGEST", 0)
    clock, in_the_way = FakeClock(), path.with_name("ledger.db.held.new")
    async with running(path, clock) as (ledger, faults):
        await put(ledger, *(settled(at=clock.wall()) for _ in range(3)))
        in_the_way.mkdir()
        await put(ledger, settled(at=clock.wall()))
        in_the_way.rmdir()
        await until(lambda: count_of(path) == 0, clock, step=3600.0)
        dead = shutil.copytree(path.parent, path.parent.with_name("dead"))

    ledger = ledger_on(SqliteDatabase(dead / path.name, is_durable=False), clock)
    await ledger.start(lambda _: None, uncounted)
    total = (await ledger.usage(UsageQuery())).total
    await ledger.stop()

    assert (total.requests, total.cost_nanousd, faults) == (4, 4000, [])
    assert not path.with_name("ledger.db.held").exists()


@pytest.mark.parametrize(
    "line",
    [
        "not JSON",
        "{}",
        '"a text"',
        '{"forgotten": [1]}',
        '{"forgotten": ' + "[" * 100_000,
        json.dumps(asdict(row_of(held(), 1)) | {"attempt": "1"}),
        json.dumps(asdict(row_of(held(), 1)) | {"output": 2**63}),
    ],
)
def test_held_rows_that_are_damaged_are_refused_with_what_to_do(path: Path, line: str) -> None:
    """They may hold what somebody owes; when they are gone, nothing else is in the way."""
    SqliteDatabase(path, is_durable=False).close()
    beside = path.with_name("ledger.db.held")
    beside.write_text(f"{line}\n")

    with pytest.raises(CannotOpenLedger, match=r"ledger\.db\.held is damaged: move it away"):
        SqliteDatabase(path, is_durable=False)

    beside.unlink()
    SqliteDatabase(path, is_durable=False).close()


def test_held_rows_that_cannot_be_read_or_written_are_a_fault(path: Path) -> None:
    """With the system's reason; an attempt is committed instead, which may still go well."""
    beside = path.with_name("ledger.db.held")
    with closing(SqliteDatabase(path, is_durable=False)) as database:
        row = row_of(held(), database.instance)
        database.hold(row)
        beside.unlink()
        beside.mkdir()
        with pytest.raises(LedgerUnavailable, match=r"ledger\.db\.held: Is a directory"):
            database.compact()
        is_released = database.release(row)
        is_held = database.hold(row)

    assert is_released
    assert not is_held
    with pytest.raises(CannotOpenLedger, match=r"ledger\.db\.held: Is a directory"):
        SqliteDatabase(path, is_durable=False)


def test_a_disk_that_is_read_only_is_refused(disk: SmallDisk) -> None:
    """At the start, with the system's reason."""
    SqliteDatabase(disk.path / "ledger.db", is_durable=False).close()
    disk.protect()

    with pytest.raises(CannotOpenLedger, match="Read-only file system"):
        SqliteDatabase(disk.path / "ledger.db", is_durable=False)


def test_a_disk_that_is_full_at_the_start_is_said(disk: SmallDisk) -> None:
    """Where SQLite itself speaks of an I/O error."""
    SqliteDatabase(disk.path / "ledger.db", is_durable=False).close()
    disk.fill()

    with pytest.raises(CannotOpenLedger, match="the disk is full"):
        SqliteDatabase(disk.path / "ledger.db", is_durable=False)


def test_a_log_that_does_not_fit_the_disk_is_a_fault(disk: SmallDisk) -> None:
    """Tidying says so in the same words as writing."""
    with closing(SqliteDatabase(disk.path / "ledger.db", is_durable=False)) as database:
        write(database, 50)
        disk.fill()

        with pytest.raises(LedgerUnavailable, match="the disk is full"):
            database.tidy()


async def test_the_log_is_put_into_the_file_beside_the_writing(path: Path) -> None:
    """So that it does not grow, and no commit flushes the disk."""
    clock = FakeClock()
    async with running(path, clock) as (ledger, _):
        await put(ledger, *(settled() for _ in range(100)))
        size = size_of(path)

        await until(lambda: size_of(path) > size, clock)


async def test_a_log_that_grows_long_is_put_into_the_file_while_nothing_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under steady load the quiet way never comes to the log's end; a reader of old pages stands for that load."""
    monkeypatch.setattr(sqlite, "LONGEST_LOG", 10)
    tidied = []

    class Watched(SqliteDatabase):
        def tidy(self) -> bool:
            is_behind = super().tidy()
            tidied.append((threading.current_thread().name, is_behind))
            return is_behind

    database = Watched(path, is_durable=False)
    write(database, 100)
    clock = FakeClock()
    ledger = ledger_on(database, clock)
    await ledger.start(lambda _: None, uncounted)
    with database.transaction() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM attempts").all()
        await put(ledger, *(settled() for _ in range(100)))
        await until(lambda: len(tidied) >= 2, clock)
    await ledger.stop()

    assert tidied[:2] == [("ledger-tidier", True), ("ledger-writer", True)]


async def test_what_ends_while_the_ledger_is_tended_is_written_after_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop commits itself, and would find the file locked."""
    is_tended, may_end = threading.Event(), threading.Event()

    def roll_up(_: SqliteDatabase, connection: Connection, before: float) -> bool:
        connection.exec_driver_sql("DELETE FROM days WHERE day < ?", (before,))
        is_tended.set()
        return not may_end.wait(5)

    monkeypatch.setattr(old_rows, "roll_up", roll_up)
    clock = FakeClock()
    async with running(path, clock) as (ledger, faults):
        entry = held()
        await ledger.hold(entry)
        await until(is_tended.is_set, clock, step=5.0)
        settling = asyncio.create_task(ledger.settle(settled(entry)))
        for _ in range(10):
            await asyncio.sleep(0)
        waiting = ledger.waiting
        may_end.set()
        await settling
        total = (await ledger.usage(UsageQuery())).total

    assert (waiting, total.requests, faults) == (1, 1, [])


async def test_a_disk_that_stands_still_is_left_in_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is to be written, nobody waits as long as for what is."""
    monkeypatch.setattr(stored_ledger, "LONGEST_CLOSE", 0.1)
    stands_still, moves_again = threading.Event(), threading.Event()

    class Stuck(SqliteDatabase):
        def sign(self) -> None:
            stands_still.set()
            moves_again.wait(5)

    ledger = ledger_on(Stuck(path, is_durable=False))
    await ledger.start(lambda _: None, uncounted)
    await until(stands_still.is_set)

    try:
        async with asyncio.timeout(2):
            await ledger.stop()
    finally:
        moves_again.set()


async def test_what_nobody_foresaw_does_not_end_the_tending(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log would grow until the disk is full, and nobody would know why."""
    tidied = []

    class Odd(SqliteDatabase):
        def tidy(self) -> bool:
            tidied.append(1)
            raise MemoryError

    clock = FakeClock()
    ledger = ledger_on(Odd(path, is_durable=False), clock)
    await ledger.start(lambda _: None, uncounted)
    for _ in range(2):
        seen = len(tidied)
        await ledger.hold(held())
        await put(ledger, settled())
        await until(lambda: len(tidied) > seen, clock)  # noqa: B023 - it is called before the next turn
    await ledger.stop()

    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["the ledger was not tidied"] * 2


async def test_a_ledger_that_cannot_charge_what_was_lost_is_not_started(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator is told in one line why."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.01)
    with closing(SqliteDatabase(path, is_durable=False)) as dead:
        dead.write([Operation(Kind.HOLD, row_of(held(), dead.instance))])
    ledger = ledger_on(SqliteDatabase(path, is_durable=False))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(CannotOpenLedger, match="cannot write the ledger: another program has it locked"):
            await ledger.start(lambda _: None, uncounted)

    await ledger.stop()


async def test_a_fault_that_nobody_watches_for_can_be_asked_for(path: Path) -> None:
    """A ledger that was not started yet has nobody to tell."""
    database = SqliteDatabase(path, is_durable=False)
    ledger = ledger_on(database)
    with database.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE attempts")

    with pytest.raises(LedgerUnavailable):
        await ledger.hold(held())
    await ledger.stop()

    assert ledger.fault == "SQLite says: no such table: attempts"


@pytest.mark.parametrize("round_", range(3))
def test_what_was_answered_survives_the_death_of_the_process(path: Path, round_: int) -> None:
    """SIGKILL under load: every call that was told durable is there once, those on their way are charged once."""
    command = [sys.executable, "-m", "fakes.ledger_writer", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TESTS, text=True) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline().strip() for _ in range(200 + 150 * round_)]
        process.kill()
        answered += [line.strip() for line in process.stdout if line.endswith("\n")]

    total, calls = asyncio.run(restart(path))

    assert set(answered) <= set(calls)
    assert len(calls) == len(set(calls)) == total
    assert len(calls) <= len(answered) + 2 * 8


async def restart(path: Path) -> tuple[int, list[str]]:
    """Start a ledger anew; return how many requests it counts, and whose."""
    database = SqliteDatabase(path, is_durable=False)
    ledger = ledger_on(database, SystemClock())
    await ledger.start(lambda _: None, uncounted)
    total = (await ledger.usage(UsageQuery())).total
    with database.transaction() as connection:
        calls = connection.exec_driver_sql("SELECT call_id FROM attempts WHERE status <> 'held'").scalars().all()
    await ledger.stop()
    return total.requests, list(calls)


def write(database: SqliteDatabase, rows: int) -> None:
    """Write some settled attempts."""
    for _ in range(rows):
        database.write([Operation(Kind.SETTLE, row_of(settled(), database.instance))])


async def could_settle(ledger: StoredLedger, entry: object) -> bool:
    """Settle an attempt for 7 nano-USD; false if it was kept."""
    try:
        await ledger.settle(settled(entry, cost_nanousd=7))  # type: ignore[arg-type]
    except LedgerUnavailable:
        return False
    return True


def count_of(path: Path) -> int:
    """How many attempts are in the table."""
    with closing(sqlite3.connect(path)) as connection:
        [count] = connection.execute("SELECT count(*) FROM attempts").fetchone()
    return int(count)


def replace_by_an_empty_one(path: Path) -> None:
    """Let another file have its name."""
    path.unlink()
    path.touch()


def size_of(path: Path) -> int:
    """How many bytes are in a file."""
    return path.stat().st_size
