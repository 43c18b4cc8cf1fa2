"""How daemons that share a ledger in PostgreSQL keep out of each other's way, and who stands in theirs."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, func, select, text

NAMESPACE: Final = 0x70656E73
"""Sets our advisory locks apart from those of other programs: number 0 is the ledger's, the others are daemons'."""
PATIENCE = 3.0
"""Seconds that a transaction waits for what another session has locked."""
PATIENCE_AT_START = 10.0
"""Seconds that a start waits for others that make or migrate the tables."""
LONGEST_PAUSE = 5.0
"""Seconds after which the server ends the transaction of a daemon that stands still in it, and frees what it locked."""

_BOUNDS: Final = text("""
SELECT set_config('lock_timeout', :patience, true), set_config('statement_timeout', :longest, true),
       set_config('idle_in_transaction_session_timeout', :pause, true)
""")
_HOLDER: Final = text("""
SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (relation IN (to_regclass('attempts'), to_regclass('days'), to_regclass('schema_version'))
       AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
       AND NOT :is_for_turn
       OR locktype = 'advisory' AND classid = :namespace AND objid = 0 AND :is_for_turn)
ORDER BY pid LIMIT 1
""")


def bound(connection: Connection, patience: float, *, longest: float, only_reads: bool = False) -> None:
    """Let this transaction wait `patience` seconds for a lock, and each statement take `longest`; 0 is no limit.

    What `only_reads` may stand still: it has locked nobody out.
    """
    seconds = {"patience": patience, "longest": longest, "pause": 0 if only_reads else LONGEST_PAUSE}
    connection.execute(_BOUNDS, {name: f"{round(value * 1000)}ms" for name, value in seconds.items()})


def take_turn(connection: Connection) -> None:
    """Wait until nobody else tends or makes the ledger; nobody does until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(NAMESPACE, 0)))


def try_turn(connection: Connection) -> bool:
    """The same, without waiting: false if another daemon is at it."""
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(NAMESPACE, 0))).scalar_one())


def gone(connection: Connection, instances: Iterable[int]) -> list[int]:
    """Which of these daemons have no session that signs for them; none comes back before the transaction ends."""
    return [
        instance
        for instance in instances
        if connection.execute(select(func.pg_try_advisory_xact_lock(NAMESPACE, instance))).scalar_one()
    ]


def remedy(connection: Connection, statement: str | None) -> str:
    """Who has locked what `statement` waited for, and what to do; or else how to find out.

    That is the ledger's number where it waited for its turn, else tables of ours as a whole.
    """
    is_for_turn = "pg_advisory_xact_lock" in (statement or "")
    found = connection.execute(_HOLDER, {"namespace": NAMESPACE, "is_for_turn": is_for_turn}).first()
    if found is None:
        return "a session there has it locked: let its transaction end, or find it in pg_stat_activity and end it"
    pid, program = found
    who = f"process {pid} there{f' ({program})' if program else ''}"
    return f"{who} has it locked: let that end, or end it with SELECT pg_terminate_backend({pid})"
