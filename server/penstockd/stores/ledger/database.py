"""What the ledger needs of a database."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from penstockd.stores.ledger.operations import Operation, Row

T = TypeVar("T")

LONGEST_STATEMENT = 60.0
"""Seconds that a server gives a statement of a transaction, where no other limit is asked for; callers wait as long."""


class Overtaken(Exception):
    """Somebody changed what a transaction was about to change: nothing of it was done, and it is to be done again."""


class Writer(Protocol):
    """What the journal needs of it."""

    commits_fast: bool
    """Whether a commit is cheaper than a hop to a thread."""

    @property
    def has_company(self) -> bool:
        """Whether attempts are under way that may end while a commit waits for them; asked where commits are fast."""

    def write(self, operations: Sequence[Operation]) -> None:
        """Write all of them, in order, in one commit; durable when this returns. Raises LedgerUnavailable."""


class Database(Writer, Protocol):
    """Tables of the current schema. Its methods block, and `write` is never called twice at once.

    `hold`, `release` and `compact` alone are for the event loop.
    """

    instance: int
    """This daemon's number among those that share the ledger, new with each start."""
    has_one_writer: bool
    """Whether nothing can be written while the ledger is tended."""

    def hold(self, row: Row) -> bool:
        """Write the row of an attempt that begins, if that is cheaper than to commit it; durable when this returns.

        False where it is to be committed, as a HOLD. A SETTLE settles it either way.
        """

    def release(self, row: Row) -> bool:
        """Take back a row that is held, as no attempt came of it; false where it was committed."""

    def compact(self) -> None:
        """Forget which rows were held and settled since, before any of them is rolled up. Raises LedgerUnavailable."""

    def transaction(
        self, *, only_reads: bool = False, is_of_one_moment: bool = False, longest: float = LONGEST_STATEMENT
    ) -> AbstractContextManager[Connection]:
        """Tend the ledger in a transaction of its own; or look at it, as it stands at one moment, if it `only_reads`.

        What changes it may also see it as at one moment, and then raises Overtaken. Waits a few seconds for what others
        have locked; a server ends a statement after `longest` seconds. Raises LedgerUnavailable.
        """

    def gone(self, connection: Connection, instances: Iterable[int]) -> list[int]:
        """Which of these daemons no longer run; none of them can come back before the transaction ends."""

    def sign(self) -> None:
        """Show the others that share the ledger that this daemon runs, also where nothing is written for a while.

        Blocks, and raises nothing; to be done where `write` is.
        """

    def lock(self, connection: Connection) -> bool:
        """Keep others that share the ledger from tending it until the transaction ends; false if one is at it."""

    def tidy(self) -> bool:
        """Do beside the writing what the database wants now and then; true if it is to be done again while none is.

        Raises LedgerUnavailable.
        """

    def close(self) -> None:
        """Let go of everything."""


def within(transaction: AbstractContextManager[Connection], work: Callable[[Connection], T]) -> T:
    """Return what `work` returns, done in `transaction`; blocks."""
    with transaction as connection:
        return work(connection)
