"""The ledger in PostgreSQL, which several daemons may share."""

import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Final

from msgspec.structs import asdict
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from penstockd.ledger import CannotOpenLedger, LedgerUnavailable
from penstockd.stores.ledger import postgres_locks
from penstockd.stores.ledger.database import LONGEST_STATEMENT, Overtaken
from penstockd.stores.ledger.migrations import migrate
from penstockd.stores.ledger.operations import Operation, Row
from penstockd.stores.ledger.postgres_engine import engine
from penstockd.stores.ledger.postgres_locks import NAMESPACE
from penstockd.stores.ledger.schema import ATTEMPTS, DAYS, SCHEMA
from penstockd.stores.ledger.statements import POSTGRESQL

LOCKED: Final = "55P03"
"""The SQLSTATE of a wait for a lock that took too long."""
OVERTAKEN: Final = "40001"
"""The SQLSTATE of a change to what was changed since the transaction's one moment."""

_RIGHTS: Final = {
    ATTEMPTS.name: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    DAYS.name: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    SCHEMA.name: ("SELECT", "UPDATE"),
}


class PostgresDatabase:
    """Writes through one connection, whose session holds an advisory lock as the sign that this daemon runs."""

    commits_fast = False
    has_company = True
    has_one_writer = False

    def __init__(self, url: str) -> None:
        """Connect, and make or migrate the tables; raises CannotOpenLedger."""
        self.instance = 1 + secrets.randbelow(2**31 - 1)
        self._writer: Connection | None = None
        self._has_sign = False
        logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of what follows from an error that it raises
        self._engine = engine(url)
        try:
            with self.transaction() as connection:
                # A large ledger may be migrated for as long as that takes.
                postgres_locks.bound(connection, postgres_locks.PATIENCE_AT_START, longest=0)
                _check_encoding(connection)
                postgres_locks.take_turn(connection)
                _check_rights(connection)
                migrate(connection)
        except LedgerUnavailable as fault:
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
        """Write all of them, in order, in one commit; durable when this returns. Raises LedgerUnavailable."""
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
    def transaction(
        self, *, only_reads: bool = False, is_of_one_moment: bool = False, longest: float = LONGEST_STATEMENT
    ) -> Iterator[Connection]:
        """Tend the ledger in a transaction of its own, or look at it as of one moment. Raises LedgerUnavailable."""
        try:
            with self._engine.begin() as connection:
                if only_reads or is_of_one_moment:
                    access = "READ ONLY" if only_reads else "READ WRITE"
                    connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, {access}")
                postgres_locks.bound(connection, postgres_locks.PATIENCE, longest=longest, only_reads=only_reads)
                yield connection
        except OperationalError as error:
            if is_of_one_moment and _state(error) == OVERTAKEN:
                raise Overtaken from error
            raise self._with_remedy(error) from error
        except SQLAlchemyError as error:
            raise _fault(error) from error

    def gone(self, connection: Connection, instances: Iterable[int]) -> list[int]:
        """Which of these daemons no longer run; none of them can come back before the transaction ends."""
        return postgres_locks.gone(connection, instances)

    def lock(self, connection: Connection) -> bool:
        """Keep others that share the ledger from tending it until the transaction ends; false if one is at it."""
        return postgres_locks.try_turn(connection)

    def sign(self) -> None:
        """Show the others that this daemon runs; what a server that cannot be reached means is for a write to say."""
        self._has_sign = False  # to ask for a lock that it has costs nothing, and finds out whether the session lives
        with suppress(LedgerUnavailable, SQLAlchemyError):
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
                self._writer.execute(
                    POSTGRESQL[kind], [asdict(operation.row) if operation.row else {} for operation in group]
                )

    def _with_remedy(self, error: OperationalError) -> LedgerUnavailable:
        """The fault, and who holds it up if it is a lock."""
        fault = _fault(error)
        if _state(error) != LOCKED:
            return fault
        with suppress(SQLAlchemyError), self._engine.begin() as connection:
            postgres_locks.bound(connection, postgres_locks.PATIENCE, longest=LONGEST_STATEMENT)
            return LedgerUnavailable(f"{fault}; {postgres_locks.remedy(connection, error.statement)}")
        return fault

    def _let_go(self) -> None:
        writer, self._writer, self._has_sign = self._writer, None, False
        if writer is not None:
            writer.invalidate()
            writer.close()


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


def _state(error: DBAPIError) -> str | None:
    """The SQLSTATE that the server gave, if it was the server."""
    return getattr(error.orig, "sqlstate", None)


def _fault(error: SQLAlchemyError) -> LedgerUnavailable:
    """What went wrong, in PostgreSQL's own first line: no statement, no parameters, no password."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return LedgerUnavailable(f"PostgreSQL says: {str(cause).partition(chr(10))[0]}")
