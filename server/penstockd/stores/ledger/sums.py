"""Sums over the ledger: attempts as long as they are kept one by one, days before that."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Table, case, func, literal, select, union_all

from penstockd.ledger import EntryStatus, Spending, Totals, UsageQuery, UsageReport
from penstockd.stores.ledger.schema import ATTEMPTS, DAYS, IS_HELD

LONGEST_BREAKDOWN = 1000
DAY_US: Final = 86_400_000_000
"""Microseconds of a day."""

Condition: TypeAlias = ColumnElement[bool]

SPENDERS = ("tenant", "user_id", "agent", "key")


def usage(connection: Connection, query: UsageQuery) -> UsageReport:
    """Sum what matches `query`; a day that is kept as a whole counts when it begins within the query's time."""
    [total] = connection.execute(_totals(query, None))
    return UsageReport(
        total=_read(total),
        by_agent=_breakdown(connection, query, "agent"),
        by_model=_breakdown(connection, query, "model"),
        by_user=_breakdown(connection, query, "user_id"),
    )


def spent(connection: Connection, since: float, until: float | None) -> Sequence[Spending]:
    """What each combination has cost from `since` until before `until`, unix seconds; None is no end."""
    attempts, days = ATTEMPTS.c, DAYS.c
    parts = union_all(
        select(*(attempts[name] for name in SPENDERS), attempts.cost_nanousd).where(
            ~IS_HELD, *_within(attempts.at_us, _us, since, until)
        ),
        select(*(days[name] for name in SPENDERS), days.cost_nanousd).where(*_within(days.day, _day, since, until)),
    ).subquery()
    names = [parts.c[name] for name in SPENDERS]
    cost = _sum(parts.c.cost_nanousd).label("cost_nanousd")
    rows = connection.execute(select(*names, cost).group_by(*names).having(cost > 0))
    return [Spending(**{**row._mapping, "cost_nanousd": int(row.cost_nanousd)}) for row in rows]  # noqa: SLF001 - public


def totals_of_attempts() -> list[ColumnElement[int]]:
    """The sums that a group of attempts comes to, but for its requests; named as in Totals."""
    attempts = ATTEMPTS.c
    return [
        _sum(attempts.uncached_input + attempts.cached_input + attempts.cache_write_input).label("input_tokens"),
        _sum(attempts.output).label("output_tokens"),
        _sum(attempts.cost_nanousd).label("cost_nanousd"),
        _sum_if(attempts.is_estimated, attempts.cost_nanousd).label("cost_estimated_nanousd"),
        _sum_if(attempts.status != EntryStatus.OK.value, attempts.cost_nanousd).label("wasted_nanousd"),
    ]


def _breakdown(connection: Connection, query: UsageQuery, by: str) -> list[tuple[str, Totals]]:
    return [(row.name, _read(row)) for row in connection.execute(_totals(query, by))]


def _totals(query: UsageQuery, by: str | None) -> Select[Any]:
    """The sums by one column, dearest first, or over everything."""
    attempts, days = ATTEMPTS.c, DAYS.c
    calls_are_of_one_model = by == "model" or query.model
    requests = days.requests if calls_are_of_one_model else days.first_requests
    name = literal("").label("name")
    of_attempts = select(
        attempts[by].label("name") if by else name,
        func.count(attempts.call_id.distinct()).label("requests"),
        *totals_of_attempts(),
    ).where(~IS_HELD, *_matching(query, ATTEMPTS, attempts.at_us, _us))
    of_days = select(
        days[by].label("name") if by else name,
        _sum(requests).label("requests"),
        *(_sum(days[column]).label(column) for column in Totals.__struct_fields__ if column != "requests"),
    ).where(*_matching(query, DAYS, days.day, _day))
    if by:
        of_attempts, of_days = of_attempts.group_by(attempts[by]), of_days.group_by(days[by])
    parts = union_all(of_attempts, of_days).subquery()
    sums = [_sum(parts.c[column]).label(column) for column in Totals.__struct_fields__]
    if not by:
        return select(*sums)
    cost = next(column for column in sums if column.name == "cost_nanousd")
    return select(parts.c.name, *sums).group_by(parts.c.name).order_by(cost.desc(), "name").limit(LONGEST_BREAKDOWN)


def _matching(query: UsageQuery, table: Table, moment: Column[int], unit: Callable[[float], int]) -> list[Condition]:
    """What of `table` the query asks for, whose rows are of a `moment` that is counted in `unit`."""
    names = ("tenant", "user_id", "agent", "model")
    conditions: list[Condition] = [table.c[name] == value for name in names if (value := getattr(query, name))]
    return conditions + _within(moment, unit, query.since, query.until)


def _within(
    moment: Column[int], unit: Callable[[float], int], since: float | None, until: float | None
) -> list[Condition]:
    """What is of a `moment` from `since` until before `until`, as far as these are given."""
    conditions: list[Condition] = []
    if since is not None:
        conditions.append(moment >= unit(since))
    if until is not None:
        conditions.append(moment < unit(until))
    return conditions


def _sum(column: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


def _sum_if(condition: Condition, column: ColumnElement[Any]) -> ColumnElement[int]:
    return _sum(case((condition, column), else_=0))


def _us(unix_seconds: float) -> int:
    return round(unix_seconds * 1e6)


def _day(unix_seconds: float) -> int:
    """The first day that begins at this moment or later."""
    return -(-_us(unix_seconds) // DAY_US)


def _read(row: Row[Any]) -> Totals:
    """The row's sums; PostgreSQL adds up 64-bit integers to decimals."""
    return Totals(**{name: int(getattr(row, name)) for name in Totals.__struct_fields__})
