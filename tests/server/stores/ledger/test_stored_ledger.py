"""What a ledger promises, whichever database keeps it."""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from sqlalchemy import func, inspect, select, text

from fakes.clock import FakeClock
from fakes.ledger import OpenDatabase, held, ledger_on, put, settled, uncounted, until
from penstockd.ledger import CannotOpenLedger, Entry, EntryStatus, LedgerUnavailable, Loss, Spending, Totals, UsageQuery
from penstockd.stores.ledger import migrations, old_rows
from penstockd.stores.ledger.database import Database
from penstockd.stores.ledger.operations import LARGEST, Kind, Operation, row_of
from penstockd.stores.ledger.schema import METADATA
from penstockd.stores.ledger.stored_ledger import StoredLedger
from penstockd.usage import Usage

ALL = UsageQuery()
DAY = 86400.0


async def test_an_attempt_counts_once_it_is_settled(ledger: StoredLedger) -> None:
    """Held, it is nobody's cost yet."""
    entry = held()
    await ledger.hold(entry)
    before = (await ledger.usage(ALL)).total

    await ledger.settle(settled(entry, cost_nanousd=700))

    assert before == Totals()
    assert (await ledger.usage(ALL)).total == Totals(requests=1, input_tokens=10, output_tokens=20, cost_nanousd=700)


async def test_writing_the_same_again_changes_nothing(ledger: StoredLedger) -> None:
    """A commit whose answer was lost is simply repeated."""
    entry = held()

    for _ in range(2):
        await ledger.hold(entry)
    for _ in range(2):
        await ledger.settle(settled(entry))
    await ledger.hold(entry)

    report = await ledger.usage(ALL)
    assert (report.total.requests, report.total.cost_nanousd) == (1, 1000)


async def test_many_at_once_are_all_there(ledger: StoredLedger) -> None:
    """What arrives together is committed together, and nobody is forgotten."""
    entries = [settled() for _ in range(500)]

    await asyncio.gather(*(put(ledger, entry) for entry in entries))

    assert (await ledger.usage(ALL)).total.requests == 500


async def test_a_hold_that_is_cut_short_leaves_nothing(open_database: OpenDatabase) -> None:
    """The attempt was not made, so that no restart may charge it."""
    database = open_database()
    ledger = ledger_on(database)
    await ledger.start(lambda _: None, uncounted)
    others = [row_of(held(), database.instance) for _ in range(2)]
    for row in others:
        database.hold(row)  # who is alone would wait for nothing
    holding = asyncio.create_task(ledger.hold(held()))
    await asyncio.sleep(0)

    holding.cancel()
    await asyncio.wait([holding])
    for row in others:
        database.release(row)
    await put(ledger, settled())
    left = count_rows(database)
    await ledger.stop()

    assert (left, ledger.fault) == (1, "")
    assert lost_at_next_start(open_database) == 0


async def test_an_entry_that_is_released_leaves_nothing(open_database: OpenDatabase) -> None:
    """The first one was committed, the second maybe held beside the table; no restart charges either."""
    database = open_database()
    ledger = ledger_on(database)
    await ledger.start(lambda _: None, uncounted)
    for entry in (held(), held()):
        await ledger.hold(entry)
        await ledger.release(entry)
    left = count_rows(database)
    database.close()  # as a death would have it

    assert left == 0
    assert lost_at_next_start(open_database) == 0


async def test_a_settlement_that_is_cut_short_is_written_all_the_same(ledger: StoredLedger) -> None:
    """The caller may go; what was used was used."""
    entry = held()
    await ledger.hold(entry)
    settling = asyncio.create_task(ledger.settle(settled(entry)))
    await asyncio.sleep(0)

    settling.cancel()
    await asyncio.wait([settling])
    await put(ledger, settled())

    assert (await ledger.usage(ALL)).total.requests == 2


async def test_what_a_dead_daemon_held_is_charged_its_estimate_once(open_database: OpenDatabase) -> None:
    """At the next start, and not again at the one after it; budgets are told of it."""
    database = open_database()
    entry = held(cost_nanousd=77)
    database.write([Operation(Kind.HOLD, row_of(entry, database.instance))])
    database.close()
    totals: list[Totals] = []
    charged: list[Loss] = []

    async def count(losses: Sequence[Loss]) -> None:
        charged.extend(losses)

    for _ in range(2):
        ledger = ledger_on(open_database())
        await ledger.start(lambda _: None, count)
        totals.append((await ledger.usage(ALL)).total)
        await ledger.stop()

    assert charged == [Loss(tenant="acme", user_id="u1", agent="support", key="web", at=entry.at, cost_nanousd=77)]
    assert totals[0] == totals[1]
    assert (totals[0].cost_nanousd, totals[0].cost_estimated_nanousd, totals[0].wasted_nanousd) == (77, 77, 77)


async def test_the_truth_replaces_an_estimate_that_was_charged(ledger: StoredLedger) -> None:
    """A daemon that was only thought dead settles its attempts after all."""
    entry = held()
    await ledger.settle(replace(entry, status=EntryStatus.LOST))

    await ledger.settle(settled(entry, cost_nanousd=5))

    total = (await ledger.usage(ALL)).total
    assert (total.cost_nanousd, total.wasted_nanousd, total.cost_estimated_nanousd) == (5, 0, 0)


async def test_totals_tell_answers_from_waste_and_counts_from_estimates(ledger: StoredLedger) -> None:
    """Attempts of one call are one request; an unknown price costs nothing."""
    usage = Usage(uncached_input=1, cached_input=2, cache_write_input=4, output=8, reasoning=3)
    await put(
        ledger,
        settled(call_id="a", status=EntryStatus.FAILED, cost_nanousd=10, usage=usage),
        settled(call_id="a", attempt=2, model="strong", cost_nanousd=200, usage=usage),
        settled(call_id="b", status=EntryStatus.CANCELLED, cost_nanousd=3000, is_estimated=True, usage=usage),
        settled(call_id="c", cost_nanousd=None, usage=usage),
    )

    report = await ledger.usage(ALL)

    assert report.total == Totals(
        requests=3,
        input_tokens=28,
        output_tokens=32,
        cost_nanousd=3210,
        cost_estimated_nanousd=3000,
        wasted_nanousd=3010,
    )
    assert [(name, sums.requests, sums.cost_nanousd) for name, sums in report.by_model] == [
        ("fast", 3, 3010),
        ("strong", 1, 200),
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (UsageQuery(tenant="acme"), 3),
        (UsageQuery(tenant="nobody"), 0),
        (UsageQuery(user_id="u2"), 2),
        (UsageQuery(agent="research", tenant="acme"), 1),
        (UsageQuery(model="strong"), 1),
        (UsageQuery(since=200.0), 3),
        (UsageQuery(since=200.0, until=400.0), 2),
    ],
)
async def test_a_query_narrows_the_sums(ledger: StoredLedger, query: UsageQuery, expected: int) -> None:
    """Every filter; the beginning is included, the end is not."""
    await put(
        ledger,
        settled(at=100.0),
        settled(at=200.0, user_id="u2", agent="research"),
        settled(at=300.0, user_id="u2", model="strong"),
        settled(at=400.0, tenant="umbrella"),
    )

    report = await ledger.usage(query)

    assert report.total.requests == expected
    assert sum(sums.requests for _, sums in report.by_agent) == expected


async def test_a_breakdown_is_the_dearest_thousand(ledger: StoredLedger) -> None:
    """Users may be many."""
    await asyncio.gather(*(put(ledger, settled(user_id=f"u{number}", cost_nanousd=number)) for number in range(1010)))

    report = await ledger.usage(ALL)

    assert [name for name, _ in report.by_user] == [f"u{number}" for number in range(1009, 9, -1)]
    assert report.total.requests == 1010


async def test_what_was_spent_is_told_by_who_spent_it(ledger: StoredLedger) -> None:
    """From one moment to another, held attempts left out, for budgets to start from."""
    await put(
        ledger,
        settled(at=100.0, cost_nanousd=1),
        settled(at=200.0, cost_nanousd=2),
        settled(at=300.0, cost_nanousd=4),
        settled(at=300.0, user_id="u2", cost_nanousd=8),
        settled(at=300.0, user_id="u3", cost_nanousd=None),
        settled(at=400.0, user_id="u4", cost_nanousd=16),
    )
    await ledger.hold(held(at=300.0))

    spent = await ledger.spent(200.0, 400.0)

    assert sorted(spent, key=lambda one: one.user_id) == [
        Spending(tenant="acme", user_id="u1", agent="support", key="web", cost_nanousd=6),
        Spending(tenant="acme", user_id="u2", agent="support", key="web", cost_nanousd=8),
    ]


async def test_rolling_up_by_day_changes_no_sum(open_database: OpenDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls over several models and over midnight, in many steps: every sum is what it was."""
    monkeypatch.setattr(old_rows, "CALLS_A_STEP", 7)
    database = open_database()
    clock = FakeClock()
    ledger = ledger_on(database, clock)
    await ledger.start(lambda _: None, uncounted)
    chance = random.Random(4)
    await put(ledger, *(entry for number in range(60) for entry in call(number, clock.wall(), chance)))
    queries = [ALL, UsageQuery(model="fast"), UsageQuery(user_id="u1"), UsageQuery(tenant="acme", agent="support")]
    before = [await ledger.usage(query) for query in queries]
    spent = await ledger.spent(0.0, None)

    steps = roll_up(database, clock.wall() + 3 * DAY)

    assert steps == 10  # nine with calls in them, one that found none
    assert count_rows(database) == 0
    assert [await ledger.usage(query) for query in queries] == before
    assert sorted(await ledger.spent(0.0, None), key=str) == sorted(spent, key=str)
    midnight = clock.wall() // DAY * DAY
    days = [await ledger.spent(midnight + day * DAY, midnight + (day + 1) * DAY) for day in range(-4, 4)]
    assert sum(each.cost_nanousd for day in days for each in day) == sum(each.cost_nanousd for each in spent)
    assert sum(map(bool, days)) > 1
    await ledger.stop()


def call(number: int, now: float, chance: random.Random) -> list[Entry]:
    """One call of one to three attempts around midnight, on models that may repeat."""
    at = now // DAY * DAY + chance.uniform(-5, 5)
    user_id, agent = chance.choice(["u1", "u2"]), chance.choice(["support", "research"])
    return [
        settled(
            call_id=f"c{number}",
            attempt=attempt,
            at=at + attempt,
            model=chance.choice(["fast", "strong"]),
            cost_nanousd=chance.choice([None, chance.randrange(10**9)]),
            status=chance.choice([EntryStatus.OK, EntryStatus.FAILED, EntryStatus.LOST]),
            is_estimated=chance.random() < 0.3,
            user_id=user_id,
            agent=agent,
        )
        for attempt in range(1, chance.choice([1, 2, 3]) + 1)
    ]


async def test_old_rows_are_rolled_up_and_then_dropped(open_database: OpenDatabase) -> None:
    """Beside the work, now and then; what is held is left alone."""
    clock = FakeClock()
    database = open_database()
    ledger = ledger_on(database, clock, retention=100 * DAY)
    young, old, ancient = (settled(at=clock.wall() - days * DAY) for days in (5, 50, 150))
    waiting = held(at=clock.wall() - 50 * DAY)
    database.write([Operation(Kind.HOLD, row_of(waiting, database.instance))])
    database.write([Operation(Kind.SETTLE, row_of(entry, database.instance)) for entry in (young, old, ancient)])

    await ledger.start(lambda _: None, uncounted)
    await until(lambda: (count_rows(database), count_rows(database, "days")) == (2, 1), clock, step=5.0)
    await ledger.stop()

    after = ledger_on(open_database(), clock)
    assert (await after.usage(ALL)).total.requests == 2
    assert (await after.usage(UsageQuery(since=clock.wall() - 49 * DAY))).total.requests == 1
    await after.stop()


@pytest.mark.parametrize(("days", "is_kept"), [(30.0, True), (29.9, False)])
async def test_a_retention_of_thirty_days_keeps_all_of_the_longest_month(
    open_database: OpenDatabase, days: float, *, is_kept: bool
) -> None:
    """To its last minutes, as a start then counts its budgets; less does not."""
    march, april = (datetime(2026, month, 1, tzinfo=UTC).timestamp() for month in (3, 4))
    clock = FakeClock()
    clock.put(april - 600)
    database = open_database()
    ledger = ledger_on(database, clock, retention=days * DAY)
    database.write([Operation(Kind.SETTLE, row_of(settled(at=at), database.instance)) for at in (march - 1, march)])

    await ledger.start(lambda _: None, uncounted)
    await until(lambda: count_rows(database) + count_rows(database, "days") == is_kept, clock, step=1.0)

    assert [spending.cost_nanousd for spending in await ledger.spent(march, None)] == [1000] * is_kept
    await ledger.stop()


async def test_odd_texts_and_numbers_do_not_hold_up_the_ledger(ledger: StoredLedger) -> None:
    """A caller's labels are its own to choose, NUL or not; more than a sum can hold is written as the most it can."""
    absurd = Usage(uncached_input=10**30, output=10**30)

    await put(ledger, settled(labels={"te\0am": "\0"}, usage=absurd, cost_nanousd=10**30))

    report = await ledger.usage(ALL)
    assert report.total.cost_nanousd == LARGEST


@pytest.mark.parametrize("name", [*Usage.__struct_fields__, "cost_nanousd"])
def test_no_count_of_a_row_is_more_than_sums_can_hold(name: str) -> None:
    """Whichever of them it is; the others stay as they are."""
    entry, absurd = settled(usage=Usage()), LARGEST + 1
    changed = {"cost_nanousd": absurd} if name == "cost_nanousd" else {"usage": Usage(**{name: absurd})}

    assert row_of(replace(entry, **changed), 1) == replace(row_of(entry, 1), **{name: LARGEST})


def test_an_older_schema_is_migrated_and_keeps_its_rows(open_database: OpenDatabase) -> None:
    """A daemon that knows more makes the tables what it knows, once."""
    database = open_database()
    database.write([Operation(Kind.SETTLE, row_of(settled(), database.instance))])
    later = (("ALTER TABLE attempts ADD COLUMN region VARCHAR",), ("UPDATE attempts SET region = 'north'",))

    for _ in range(2):
        with database.transaction() as connection:
            migrations.migrate(connection, later)

    with database.transaction() as connection:
        region = connection.exec_driver_sql("SELECT region FROM attempts WHERE tenant = 'acme'").scalar_one()
        version = connection.exec_driver_sql("SELECT version FROM schema_version").scalar_one()
    assert (region, version) == ("north", 3)


def test_a_newer_schema_is_refused(open_database: OpenDatabase) -> None:
    """An older daemon would not know what it writes to."""
    database = open_database()
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version = 9")
    database.close()

    with pytest.raises(CannotOpenLedger, match="schema 9, made by a newer Penstock; this one knows schemas up to 1"):
        open_database()


OTHERS = [
    ("schema_version", "CREATE TABLE schema_version (version VARCHAR)", "INSERT INTO schema_version VALUES ('1.0')"),
    ("schema_version", "CREATE TABLE schema_version (version INTEGER)"),
    ("schema_version", "CREATE TABLE schema_version (version INTEGER)", "INSERT INTO schema_version VALUES (1), (2)"),
    ("schema_version", "CREATE TABLE schema_version (version INTEGER)", "INSERT INTO schema_version VALUES (0)"),
    ("schema_version", "CREATE TABLE schema_version (n INTEGER, version INTEGER)"),
    ("attempts", "CREATE TABLE attempts (id INTEGER, login VARCHAR)"),
    ("days", "CREATE TABLE days (day INTEGER)"),
]
"""A table's name, and how somebody else made it."""


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other[-1])
def test_somebody_elses_tables_are_refused(open_database: OpenDatabase, other: Sequence[str]) -> None:
    """In one line that says which, and where the ledger may go instead; nothing is made or changed beside them."""
    name, *statements = other
    everything = text(f"SELECT * FROM {name}")  # noqa: S608 - our own
    database = open_database()
    with database.transaction() as connection:
        METADATA.drop_all(connection)
        for statement in statements:
            connection.exec_driver_sql(statement)
        before = connection.execute(everything).all()
        place = "file" if connection.dialect.name == "sqlite" else "database"
    database.close()

    with pytest.raises(
        CannotOpenLedger, match=rf"the {place} has a table {name} that is not Penstock's: .* a {place} of its own"
    ):
        open_database()

    with database.transaction() as connection:
        assert inspect(connection).get_table_names() == [name]
        assert connection.execute(everything).all() == before


async def test_a_table_that_is_gone_is_a_fault_that_is_said(open_database: OpenDatabase) -> None:
    """Reading says so as well as writing, and the text names no row's values."""
    database = open_database()
    ledger = ledger_on(database)
    faults: list[str] = []
    await ledger.start(faults.append, uncounted)
    with database.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE attempts")

    with pytest.raises(LedgerUnavailable):
        await ledger.hold(held(user_id="secret"))
    with pytest.raises(LedgerUnavailable):
        await ledger.usage(ALL)

    assert ledger.fault == faults[0]
    assert "attempts" in ledger.fault
    assert "secret" not in ledger.fault
    assert "fault" not in repr(ledger)
    await ledger.stop()


async def test_a_month_of_rows_is_summed_quickly(open_database: OpenDatabase) -> None:
    """A hundred thousand attempts in less than three seconds, all four sums of them."""
    database = open_database()
    row = row_of(settled(), database.instance)
    rows = [
        replace(row, call_id=str(number), user_id=f"u{number % 5000}", model=f"m{number % 7}")
        for number in range(100_000)
    ]
    for start in range(0, len(rows), 10_000):
        database.write([Operation(Kind.SETTLE, row) for row in rows[start : start + 10_000]])
    ledger = ledger_on(database)
    started_at = time.perf_counter()

    report = await ledger.usage(UsageQuery(tenant="acme", since=0.0))

    assert time.perf_counter() - started_at < 3.0
    assert (report.total.requests, len(report.by_user), len(report.by_model)) == (100_000, 1000, 7)
    await ledger.stop()


def lost_at_next_start(open_database: OpenDatabase) -> int:
    """How many attempts the next daemon would charge."""
    database = open_database()
    with database.transaction() as connection:
        return len(old_rows.charge_losses(database, connection))


def roll_up(database: Database, before: float) -> int:
    """Roll up everything, and return in how many steps."""
    for step in range(1, 1000):
        with database.transaction(is_of_one_moment=True) as connection:
            if not old_rows.roll_up(database, connection, before):
                return step
    raise AssertionError


def count_rows(database: Database, table: str = "attempts") -> int:
    """How many attempts are kept one by one, or days."""
    with database.transaction() as connection:
        return int(connection.execute(select(func.count()).select_from(METADATA.tables[table])).scalar_one())
