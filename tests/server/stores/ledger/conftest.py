"""What the ledger's tests share: both databases."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from fakes.ledger import OpenDatabase, ledger_on, sqlite_file, uncounted
from fakes.small_disk import SmallDisk, small_disk
from peers.postgres import Postgres, postgres_server
from penstockd.stores.ledger.database import Database
from penstockd.stores.ledger.postgres import PostgresDatabase
from penstockd.stores.ledger.sqlite import SqliteDatabase
from penstockd.stores.ledger.stored_ledger import StoredLedger


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for all tests."""
    with postgres_server() as running:
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of one megabyte."""
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture(params=["process", "power", "postgresql"])
def open_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenDatabase]:
    """Each kind of database in turn; the same ledger each time it is opened."""
    opened: list[Database] = []
    make: Callable[[], Database]
    if request.param == "postgresql":
        url = request.getfixturevalue("server").database()
        make = lambda: PostgresDatabase(url)  # noqa: E731
    else:
        make = lambda: SqliteDatabase(sqlite_file(tmp_path), is_durable=request.param == "power")  # noqa: E731

    def open_database() -> Database:
        opened.append(make())
        return opened[-1]

    yield open_database
    for database in opened:
        database.close()


@pytest.fixture
async def ledger(open_database: OpenDatabase) -> AsyncIterator[StoredLedger]:
    """A new ledger that runs."""
    ledger = ledger_on(open_database())
    await ledger.start(lambda _: None, uncounted)
    yield ledger
    await ledger.stop()
