"""The ledger in one SQLite file, which belongs to one daemon."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Final

from msgspec.structs import asdict, astuple
from sqlalchemy import Connection, QueuePool, create_engine, event
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.exc import DBAPIError

from penstockd.ledger import CannotOpenLedger, LedgerUnavailable
from penstockd.stores.ledger import ledger_file
from penstockd.stores.ledger.held_rows import HeldRows
from penstockd.stores.ledger.migrations import migrate
from penstockd.stores.ledger.operations import Kind, Operation, Row
from penstockd.stores.ledger.statements import SQLITE

BUSY_TIMEOUT = 4.0
"""Seconds that a thread waits for another program's lock, less than callers do; the event loop waits for none."""
LONGEST_LOG = 4 * 1024
"""Pages of the write-ahead log (16 MiB) after which writing pauses until all of them are in the file."""

CORRUPT = "it is corrupt: stop the daemon, keep a copy of the file, and restore a backup"
FULL = "the disk is full"
FULL_OR_BROKEN = "the disk is full, or cannot be written"
GONE = "its file was moved, deleted or replaced: move it back, or stop the daemon and restore a backup"
_FAULTS: Final = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR_WRITE: FULL_OR_BROKEN,
    sqlite3.SQLITE_IOERR_FSYNC: FULL_OR_BROKEN,
    sqlite3.SQLITE_IOERR_TRUNCATE: FULL_OR_BROKEN,
    sqlite3.SQLITE_IOERR_SHMSIZE: FULL_OR_BROKEN,
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_BUSY: "another program has it locked",
    sqlite3.SQLITE_LOCKED: "another program has it locked",
    sqlite3.SQLITE_CORRUPT: CORRUPT,
    sqlite3.SQLITE_NOTADB: CORRUPT,
}


class SqliteDatabase:
    """Writes through the driver itself, as a row must be cheap; reads and tends through SQLAlchemy.

    A commit writes to the log, whose pages `tidy` puts into the file beside the writing. With `is_durable` every commit
    is on the disk and survives the machine; without, it survives the process, as do the rows that are held beside it.
    """

    has_one_writer = True

    def __init__(self, path: Path, *, is_durable: bool) -> None:
        """Take the file, and make or migrate its tables; raises CannotOpenLedger."""
        self.instance = secrets.randbits(62)
        self.commits_fast = not is_durable
        self._path = name = os.path.realpath(path)  # the file has one lock, by whatever name it is known
        self._synchronous = "FULL" if is_durable else "NORMAL"
        self._writer: sqlite3.Connection | None = None
        self._engine = create_engine("sqlite://", creator=self._connect_patiently, poolclass=QueuePool)
        event.listen(self._engine, "begin", _begin)
        self._taken: int | None = ledger_file.take(Path(name))
        self._identity = ledger_file.identity(name)
        self._held = HeldRows(Path(f"{name}.held"))
        try:
            with self.transaction() as connection:
                migrate(connection)
            self._take_over()
        except LedgerUnavailable as fault:
            self.close()
            raise CannotOpenLedger(f"cannot open the ledger {name}: {fault}") from fault
        except CannotOpenLedger:
            self.close()
            raise

    @property
    def has_company(self) -> bool:
        """Whether more than one attempt is held beside the table."""
        return len(self._held) > 1

    def hold(self, row: Row) -> bool:
        """Write the row of an attempt that begins, if that is cheaper than to commit it; durable when this returns."""
        if not self.commits_fast:
            return False
        try:
            self._held.add(row)
        except OSError:
            return False  # the commit in its place says what is wrong
        return True

    def release(self, row: Row) -> bool:
        """Take back a row that is held beside the table; false if it is in there."""
        try:
            return self._held.release(row)
        except OSError:
            return True  # a death before the file is next written anew would charge it: there is no other place for it

    def compact(self) -> None:
        """Remove from the held rows what was settled."""
        try:
            self._held.compact()
        except OSError as error:
            raise LedgerUnavailable(f"{self._held}: {error.strerror}") from error

    def write(self, operations: Sequence[Operation]) -> None:
        """Write all of them, in order, in one commit; durable when this returns. Raises LedgerUnavailable."""
        self._check_file()
        try:
            if self._writer is None:
                self._writer = self._connect(timeout=0.0 if self.commits_fast else BUSY_TIMEOUT)
            if len(operations) > 1:  # one alone has a transaction of its own without any words
                self._writer.execute("BEGIN IMMEDIATE")
            for operation in operations:
                text, values_of = _TEXTS[operation.kind]
                self._writer.execute(text, values_of(operation.row) if operation.row else ())
            if len(operations) > 1:
                self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._let_go()
            raise LedgerUnavailable(_explain(error)) from error
        for operation in operations:
            if operation.kind is Kind.SETTLE and operation.row is not None:
                self._held.drop(operation.row)

    @contextmanager
    def transaction(self, **_: object) -> Iterator[Connection]:
        """Look at the ledger, or tend it, in a transaction of its own and of one moment. Raises LedgerUnavailable."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise LedgerUnavailable(_explain(error)) from error

    def gone(self, connection: Connection, instances: Iterable[int]) -> list[int]:  # noqa: ARG002 - the file is ours
        """Which of these daemons no longer run: all, as the file is ours alone."""
        return list(instances)

    def sign(self) -> None:
        """There are no others."""

    def lock(self, connection: Connection) -> bool:  # noqa: ARG002 - it locks itself
        """Nobody else tends it."""
        return True

    def tidy(self) -> bool:
        """Put what the log has into the file, waiting for nobody; true if it has grown long and still has something."""
        try:
            with closing(self._engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
                [(_, in_log, in_file)] = cursor.fetchall()
        except (DBAPIError, sqlite3.Error) as error:
            raise LedgerUnavailable(_explain(error)) from error
        return bool(in_log > LONGEST_LOG and in_file < in_log)

    def close(self) -> None:
        """Let go of everything."""
        self._let_go()
        self._held.close()
        self._engine.dispose()
        taken, self._taken = self._taken, None
        if taken is not None:
            os.close(taken)

    def _take_over(self) -> None:
        """Put into the table what a daemon that died held beside it; what was settled is there already."""
        try:
            left = self._held.left()
            if left:
                with self.transaction() as connection:
                    connection.execute(SQLITE[Kind.HOLD], [asdict(row) for row in left])
            self._held.clear()
        except OSError as error:
            raise LedgerUnavailable(f"{self._held}: {error.strerror}") from error
        except (ValueError, OverflowError) as error:
            raise LedgerUnavailable(f"{self._held} is damaged: move it away, and its attempts go uncharged") from error

    def _connect_patiently(self) -> sqlite3.Connection:
        return self._connect(timeout=BUSY_TIMEOUT)

    def _check_file(self) -> None:
        """Refuse to write to a file, or to open one, that the next start would not find."""
        if ledger_file.identity(self._path) != self._identity:
            raise LedgerUnavailable(GONE)

    def _connect(self, *, timeout: float) -> sqlite3.Connection:
        self._check_file()
        connection = sqlite3.connect(self._path, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute("PRAGMA wal_autocheckpoint=0")  # it would flush the disk on the event loop
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _let_go(self) -> None:
        """A connection that failed is not used again: the next one sees the file as it is then."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")  # the driver itself would not begin before it changes tables


def _explain(error: DBAPIError | sqlite3.Error) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return _FAULTS.get(code) or _FAULTS.get(code & 0xFF, f"SQLite says: {cause}")


def _text(kind: Kind) -> tuple[str, Callable[[Row], Sequence[object]]]:
    """The statement as the driver takes it, and what takes the values of its question marks out of a row."""
    compiled = SQLITE[kind].compile(dialect=sqlite_dialect(paramstyle="qmark"))
    names = tuple(compiled.positiontup or ())
    if names == Row.__struct_fields__:
        return compiled.string, astuple
    return compiled.string, attrgetter(*names) if names else astuple


_TEXTS: Final = {kind: _text(kind) for kind in Kind}
