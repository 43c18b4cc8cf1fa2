"""Transactions of the ledger's own, which hold up nobody but those who wait for them."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy import Connection

from penstockd.ledger import LedgerUnavailable
from penstockd.stores.ledger.database import DatabaseFault

T = TypeVar("T")


async def transact(
    begin: Callable[[], AbstractContextManager[Connection]],
    work: Callable[[Connection], T],
    run: Callable[[Callable[[], T]], Awaitable[T]],
) -> T:
    """Return what `work` returns, done where `run` has it in a transaction that `begin` begins.

    Raises LedgerUnavailable, and Overtaken where the transaction does.
    """

    def done() -> T:
        with begin() as connection:
            return work(connection)

    try:
        return await run(done)
    except DatabaseFault as fault:
        raise LedgerUnavailable(str(fault)) from fault
