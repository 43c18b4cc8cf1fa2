"""The ledger in PostgreSQL, which several daemons may share."""

import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from penstockd.ledger import CannotOpenLedger
from penstockd.stores.ledger.database import DatabaseFault
from penstockd.stores.ledger.migrations import migrate
from penstockd.stores.ledger.operations import Operation, Row
from penstockd.stores.ledger.schema import ATTEMPTS, DAYS, SCHEMA
from penstockd.stores.ledger.statements import POSTGRESQL

NAMESPACE: Final = 0x70656E73
"""Sets our advisory locks apart from those of other programs: number 0 is the ledger's, the others are daemons'."""
CONNECTION: Final = {
    "application_name": "penstockd",
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
"""How soon a server that has vanished is noticed; see libpq's connection parameters. The URL's own win."""
SESSION: Final = """
SELECT set_config(name, value, false)
FROM (VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'),
             ('tcp_user_timeout', '5000')) AS ours (name, value)
JOIN pg_settings USING (name)
WHERE source <> 'client'
"""
"""How soon the server notices that we have vanished, and ends the session that signs for us. The URL's options win."""

_RIGHTS: Final = {
    ATTEMPTS.name: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    DAYS.name: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    SCHEMA.name: ("SELECT", "UPDATE"),
}


class PostgresDatabase:
    """Writes through one connection, whose session holds an advisory lock as the sign that this daemon runs."""

    commits_fast = False

    def __init__(self, url: str) -> None:
        """Connect, and make or migrate the tables; raises CannotOpenLedger."""
        self.instance = 1 + secrets.randbelow(2**31 - 1)
        self._writer: Connection | None = None
        self._has_sign = False
        logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of what follows from an error that it raises
        self._engine = engine(url)
        event.listen(self._engine, "connect", _prepare)
        try:
            with self.transaction() as connection:
                _check_encoding(connection)
                self.lock(connection)
                _check_rights(connection)
                migrate(connection)
        except DatabaseFault as fault:
            self.close()
            raise CannotOpenLedger(f"cannot open the ledger: {fault}") from fault
        except CannotOpenLedger:
            self.close()
            raise

    def hold(self, row: Row) -> bool:  # noqa: ARG002 - a file here would be out of the other daemons' sight
        """Have it committed."""
        return False

    def release(self, row: Row) -> bool:  # noqa: ARG002 - as above
        """Have it taken back by a commit."""
        return False

    def compact(self) -> None:
        """Nothing is held beside the tables."""

    def write(self, operations: Sequence[Operation]) -> None:
        """Write all of them, in order, in one commit; durable when this returns. Raises DatabaseFault."""
        was_connected = self._writer is not None
        try:
            self._commit(operations)
        except DBAPIError as error:
            self._let_go()
            if not (was_connected and error.connection_invalidated):
                raise _fault(error) from error
        else:
            return
        try:
            self._commit(operations)  # an idle connection may be lost without a fault of the server's
        except DBAPIError as error:
            self._let_go()
            raise _fault(error) from error

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Look at the ledger, or tend it, in a transaction of its own. Raises DatabaseFault."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _fault(error) from error

    def gone(self, connection: Connection, instances: Iterable[int]) -> list[int]:
        """Which of these daemons no longer run; none of them can come back before the transaction ends."""
        return [
            instance
            for instance in instances
            if connection.execute(select(func.pg_try_advisory_xact_lock(NAMESPACE, instance))).scalar_one()
        ]

    def lock(self, connection: Connection) -> None:
        """Keep others that share the ledger from tending it until the transaction ends."""
        connection.execute(select(func.pg_advisory_xact_lock(NAMESPACE, 0)))

    def sign(self) -> None:
        """Show the others that this daemon runs; what a server that cannot be reached means is for a write to say."""
        self._has_sign = False  # to ask for a lock that it has costs nothing, and finds out whether the session lives
        with suppress(DatabaseFault, SQLAlchemyError):
            self.write(())

    def tidy(self) -> bool:
        """Leave that to autovacuum."""
        return False

    def close(self) -> None:
        """Let go of everything."""
        self._let_go()
        self._engine.dispose()

    def _commit(self, operations: Sequence[Operation]) -> None:
        if self._writer is None:
            self._writer = self._engine.connect()
        with self._writer.begin():
            if not self._has_sign:
                sign = func.pg_try_advisory_lock(NAMESPACE, self.instance)
                self._has_sign = self._writer.execute(select(sign)).scalar_one()
            for kind, group in groupby(operations, key=lambda operation: operation.kind):
                self._writer.execute(POSTGRESQL[kind], [dict(operation.row) for operation in group])

    def _let_go(self) -> None:
        writer, self._writer, self._has_sign = self._writer, None, False
        if writer is not None:
            writer.invalidate()
            writer.close()


def engine(url: str) -> Engine:
    """What will connect to `url`; raises CannotOpenLedger where its driver is not installed."""
    try:
        return create_engine(_complete(make_url(url)), pool_pre_ping=True)
    except ImportError as error:
        raise CannotOpenLedger(
            f"a ledger in PostgreSQL needs psycopg: pip install 'penstock[postgres]' ({error})"
        ) from error


def _complete(url: URL) -> URL:
    """The URL with all that we ask of a connection."""
    query = {**CONNECTION, **url.query, "client_encoding": "utf8"}
    return url.set(drivername="postgresql+psycopg").update_query_dict(query)


def _prepare(connection: DBAPIConnection, _: object) -> None:
    """Let the server's end of a new connection be as watchful as ours; options would not get through every proxy."""
    connection.cursor().execute(SESSION)
    connection.commit()


def _check_encoding(connection: Connection) -> None:
    """Refuse a database that cannot hold every letter: a caller's name would be a fault of the ledger."""
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding not in ("UTF8", "SQL_ASCII"):
        raise CannotOpenLedger(
            f"cannot open the ledger: the encoding {encoding} of its database does not hold every letter: let "
            "DATABASE_URL name one that was made with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _check_rights(connection: Connection) -> None:
    """Refuse a user who may not do everything with our tables: one row that cannot be written holds up all others."""
    rights = {
        f"{right} on {table}": connection.execute(
            select(func.has_table_privilege(func.to_regclass(table), right))
        ).scalar_one()
        for table, needed in _RIGHTS.items()
        for right in needed
    }
    lacking = [name for name, has_right in rights.items() if not has_right]
    if lacking and None not in rights.values():  # a table that is not there has no rights yet
        raise CannotOpenLedger(f"cannot open the ledger: its user in PostgreSQL lacks {', '.join(lacking)}: GRANT that")


def _fault(error: SQLAlchemyError) -> DatabaseFault:
    """What went wrong, in PostgreSQL's own first line: no statement, no parameters, no password."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return DatabaseFault(f"PostgreSQL says: {str(cause).partition(chr(10))[0]}")
