"""Brings a ledger's tables to the schema that this daemon knows."""

from collections.abc import Sequence

from sqlalchemy import Connection, inspect, select, update

from penstockd.ledger import CannotOpenLedger
from penstockd.stores.ledger.schema import METADATA, SCHEMA

Migration = Sequence[str]
"""SQL statements that both databases understand."""

MIGRATIONS: Sequence[Migration] = ()
"""What leads from each version to the next, from version 1 on. A new ledger has the newest schema at once."""


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make or change the tables within the connection's transaction, which must exclude other daemons.

    Raises CannotOpenLedger for a schema that a newer Penstock made.
    """
    newest = 1 + len(migrations)
    if not inspect(connection).has_table(SCHEMA.name):
        METADATA.create_all(connection)
        connection.execute(SCHEMA.insert().values(version=newest))
        return
    version = connection.execute(select(SCHEMA.c.version)).scalar_one()
    if version > newest:
        raise CannotOpenLedger(
            f"the ledger has schema {version}, made by a newer Penstock; this one knows schemas up to {newest}"
        )
    for migration in migrations[version - 1 :]:
        for statement in migration:
            connection.exec_driver_sql(statement)
    connection.execute(update(SCHEMA).values(version=newest))
