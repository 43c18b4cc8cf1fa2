"""What a ledger needs now and then: losses charged, old attempts rolled up by day, old days dropped."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from penstockd.ledger import EntryStatus, Loss
from penstockd.stores.ledger.database import Database
from penstockd.stores.ledger.schema import ATTEMPTS, DAYS, IS_HELD
from penstockd.stores.ledger.sums import DAY_US, SPENDERS, totals_of_attempts

DETAIL: Final = 35 * 86400.0
"""Seconds for which attempts are kept one by one: a month, and some days for whoever asks about it."""
CALLS_A_STEP: Final = 300
"""Calls that are rolled up at a time: a few milliseconds, in which one file has nothing else written to it."""

_SUMS = [column.name for column in DAYS.columns if not column.primary_key]
_NAMES = [column.name for column in DAYS.columns if column.primary_key and column.name != "day"]


def charge_losses(database: Database, connection: Connection) -> Sequence[Loss]:
    """Charge their estimates to attempts whose daemon is gone; return them."""
    instances = connection.execute(select(ATTEMPTS.c.instance).where(IS_HELD).distinct()).scalars().all()
    gone = database.gone(connection, [instance for instance in instances if instance != database.instance])
    if not gone:
        return ()
    lost = (
        update(ATTEMPTS)
        .where(IS_HELD, ATTEMPTS.c.instance.in_(gone))
        .values(status=EntryStatus.LOST.value)
        .returning(*(ATTEMPTS.c[name] for name in (*SPENDERS, "at_us", "cost_nanousd")))
    )
    return [
        Loss(
            **{name: getattr(row, name) for name in SPENDERS},
            at=row.at_us / 1e6,
            cost_nanousd=row.cost_nanousd or 0,
        )
        for row in connection.execute(lost)
    ]


def roll_up(database: Database, connection: Connection, before: float) -> bool:
    """Move some of the calls that began before a day's start (unix seconds) into days.

    False when none is left, or when another daemon is at it.
    """
    if not database.lock(connection):
        return False
    old = (
        select(ATTEMPTS.c.call_id)
        .where(ATTEMPTS.c.at_us < round(before * 1e6), ~IS_HELD)
        .order_by(ATTEMPTS.c.at_us)
        .limit(CALLS_A_STEP)
    )
    calls = set(connection.execute(old).scalars())
    if not calls:
        return False
    whole = (ATTEMPTS.c.call_id.in_(calls), ~IS_HELD)
    day = (ATTEMPTS.c.at_us // DAY_US).label("day")
    names = [ATTEMPTS.c[name] for name in _NAMES]
    earlier = ATTEMPTS.alias()
    has_earlier = exists().where(
        earlier.c.call_id == ATTEMPTS.c.call_id,
        earlier.c.attempt < ATTEMPTS.c.attempt,
        earlier.c.status != EntryStatus.HELD.value,
    )
    has_earlier_of_model = has_earlier.where(earlier.c.model == ATTEMPTS.c.model)
    sums = {column.name: column for column in totals_of_attempts()}
    sums["requests"] = func.count().filter(~has_earlier_of_model).label("requests")
    sums["first_requests"] = func.count().filter(~has_earlier).label("first_requests")
    group = select(day, *names, *(sums[name] for name in _SUMS)).where(*whole).group_by(day, *names)
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    add = dialect.insert(DAYS).from_select(["day", *_NAMES, *_SUMS], group)
    connection.execute(
        add.on_conflict_do_update(
            index_elements=list(DAYS.primary_key), set_={name: DAYS.c[name] + add.excluded[name] for name in _SUMS}
        )
    )
    connection.execute(delete(ATTEMPTS).where(*whole))
    return True


def drop_days(database: Database, connection: Connection, before: float) -> None:
    """Drop the days that ended before a moment (unix seconds), unless another daemon is at it."""
    if database.lock(connection):
        connection.execute(delete(DAYS).where(DAYS.c.day < before // 86400))
