"""docs/operations.md: what it tells people to type works."""

import re
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from fakes.ledger import settled
from peers.postgres import Postgres
from penstock.cli import arguments
from penstockd import errors
from penstockd.errors import PenstockError
from penstockd.interceptors.telemetry import SERVER_FAULTS
from penstockd.stores.ledger.database import Database
from penstockd.stores.ledger.operations import Kind, Operation, row_of
from penstockd.stores.ledger.postgres import PostgresDatabase
from penstockd.stores.ledger.sqlite import SqliteDatabase

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
OUR_FAULTS = {
    error.reason
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, PenstockError) and error.code.name in SERVER_FAULTS
}
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("penstock ")])
def test_what_is_asked_of_the_client_can_be_asked(command: str) -> None:
    """Its own parser takes it."""
    chosen = arguments.parse(shlex.split(command)[1:])

    assert chosen.since


@pytest.mark.parametrize("reason", sorted(OUR_FAULTS))
def test_a_fault_of_ours_leads_on_from_the_alert_of_all_of_them(reason: str) -> None:
    """By the word that the log has for it."""
    section = PAGE.partition("\n### PenstockErrorsBurnFast\n")[2].partition("\n### ")[0]

    assert re.search(rf"\b{reason}\b", section)


def test_a_ledger_can_be_copied_while_it_is_written(tmp_path: Path) -> None:
    """Rows that are still in the log are in the copy."""
    (command,) = [command for command in COMMANDS if command.startswith("sqlite3 ")]
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed")
    with closing(SqliteDatabase(tmp_path / "ledger.db", is_durable=False)) as database:
        write_a_row(database)

        subprocess.run(shlex.split(command), cwd=tmp_path, check=True, timeout=30)

    with closing(sqlite3.connect(tmp_path / "ledger-backup.db")) as copied:
        assert copied.execute("SELECT tenant FROM attempts").fetchall() == [("acme",)]


def test_postgresql_can_be_dumped(postgres: Postgres) -> None:
    """The tables that it names are all there are."""
    (command,) = [command for command in COMMANDS if command.startswith("pg_dump ")]
    url = postgres.database()
    with closing(PostgresDatabase(url)) as database:
        write_a_row(database)
    program, _, rest = command.partition(" ")
    script = f"{shlex.quote(str(postgres.program(program)))} {rest.partition(' > ')[0]}"

    dumped = subprocess.run(  # noqa: S602 - our own page's
        script, shell=True, check=True, timeout=30, env={"DATABASE_URL": url}, stdout=subprocess.PIPE, text=True
    ).stdout

    assert set(re.findall(r"^CREATE TABLE \w+\.(\w+)", dumped, re.MULTILINE)) == {"attempts", "days", "schema_version"}
    assert "acme" in dumped


def write_a_row(database: Database) -> None:
    """Settle one attempt."""
    database.write([Operation(Kind.SETTLE, row_of(settled(), database.instance))])
