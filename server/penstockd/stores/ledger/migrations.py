"""Brings a ledger's tables to the schema that this daemon knows."""

from collections.abc import Sequence

from sqlalchemy import Connection, inspect, update

from penstockd.ledger import CannotOpenLedger
from penstockd.stores.ledger.schema import METADATA, SCHEMA

Migration = Sequence[str]
"""SQL statements that both databases understand."""

MIGRATIONS: Sequence[Migration] = ()
"""What leads from each version to the next, from version 1 on. A new ledger has the newest schema at once."""


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make or change the tables within the connection's transaction, which must exclude other daemons.

    Raises CannotOpenLedger for a schema that a newer Penstock made, and for tables that are somebody else's.
    """
    newest = 1 + len(migrations)
    version = _version(connection)
    if version is None:
        _refuse_others(connection)
        METADATA.create_all(connection, checkfirst=False)  # what is in another schema of the search path is no reason
        connection.execute(SCHEMA.insert().values(version=newest))
        return
    if version > newest:
        raise CannotOpenLedger(
            f"the ledger has schema {version}, made by a newer Penstock; this one knows schemas up to {newest}"
        )
    for migration in migrations[version - 1 :]:
        for statement in migration:
            connection.exec_driver_sql(statement)
    connection.execute(update(SCHEMA).values(version=newest))


def _version(connection: Connection) -> int | None:
    """Which schema our tables have; None where there are none, or where a table of that name is not ours."""
    if not inspect(connection).has_table(SCHEMA.name):
        return None
    found = connection.exec_driver_sql("SELECT * FROM schema_version LIMIT 2")
    match list(found.keys()), found.all():
        case ["version"], [[int(version)]] if version > 0:
            return version
    return None


def _refuse_others(connection: Connection) -> None:
    """Leave tables alone that have our names and are somebody else's."""
    inspector = inspect(connection)
    for table in METADATA.sorted_tables:
        if inspector.has_table(table.name, schema=inspector.default_schema_name):
            is_file = connection.dialect.name == "sqlite"
            raise CannotOpenLedger(
                f"cannot open the ledger: the {'file' if is_file else 'database'} has a table {table.name} that is "
                "not Penstock's: let DATABASE_URL name "
                f"{'a file of its own' if is_file else 'a database of its own, or give its user a schema of its own'}"
            )
