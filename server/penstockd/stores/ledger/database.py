"""What the ledger needs of a database."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from penstockd.stores.ledger.operations import Operation, Row


class DatabaseFault(Exception):
    """The database cannot be used just now; the message says why, for an operator."""


class Database(Protocol):
    """Tables of the current schema. Its methods block, and `write` is never called twice at once.

    `hold`, `release` and `compact` alone are for the event loop.
    """

    instance: int
    """This daemon's number among those that share the ledger, new with each start."""
    commits_fast: bool
    """Whether a commit is cheaper than a hop to a thread."""

    def hold(self, row: Row) -> bool:
        """Write the row of an attempt that begins, if that is cheaper than to commit it; durable when this returns.

        False where it is to be committed, as an OPEN. A CLOSE settles it either way.
        """

    def release(self, row: Row) -> bool:
        """Take back a row that is held, as no attempt came of it; false where it was committed."""

    def compact(self) -> None:
        """Forget which rows were held and settled since, before any of them is rolled up. Raises DatabaseFault."""

    def write(self, operations: Sequence[Operation]) -> None:
        """Write all of them, in order, in one commit; durable when this returns. Raises DatabaseFault."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """Look at the ledger, or tend it, in a transaction of its own. Raises DatabaseFault."""

    def gone(self, connection: Connection, instances: Iterable[int]) -> list[int]:
        """Which of these daemons no longer run; none of them can come back before the transaction ends."""

    def sign(self) -> None:
        """Show the others that share the ledger that this daemon runs, also where nothing is written for a while.

        Blocks, and raises nothing; to be done where `write` is.
        """

    def lock(self, connection: Connection) -> None:
        """Keep others that share the ledger from tending it until the transaction ends."""

    def tidy(self) -> bool:
        """Do beside the writing what the database wants now and then; true if it is to be done again while none is.

        Raises DatabaseFault.
        """

    def close(self) -> None:
        """Let go of everything."""
