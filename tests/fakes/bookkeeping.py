"""The ledger as an auditor reads it: the database itself, by no code of the daemon's."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import psycopg

COLUMNS = (
    "call_id, attempt, request_id, model, status, uncached_input, cached_input, cache_write_input, output,"
    " cost_nanousd, is_estimated"
)
POLLED_EVERY = 0.05
PATIENCE = 20.0


@dataclass(frozen=True)
class Row:
    """One attempt, as it is written."""

    call_id: str
    attempt: int
    question: str
    model: str
    status: str
    uncached_input: int
    cached_input: int
    cache_write_input: int
    output: int
    cost: int
    is_estimated: bool

    @property
    def is_exact(self) -> bool:
        """Whether it claims to be what the provider bills."""
        return not self.is_estimated


Place: TypeAlias = Path | str
"""The file of a SQLite ledger, or the URL of a PostgreSQL."""


def rows(place: Place) -> Sequence[Row]:
    """Every attempt that the ledger has, in the order of their calls and attempts."""
    query = f"SELECT {COLUMNS} FROM attempts ORDER BY call_id, attempt"  # noqa: S608 - a constant
    if isinstance(place, Path):
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as file:
            return [Row(*row) for row in file.execute(query)]
    with psycopg.connect(place) as connection:
        return [Row(*row) for row in connection.execute(query.encode())]


async def settled_rows(place: Place) -> Sequence[Row]:
    """Every attempt, once none is on its way."""
    async with asyncio.timeout(PATIENCE):
        while True:
            beside = _held_beside(place)
            found = rows(place)
            if all(row.status != "held" for row in found) and beside <= {(row.call_id, row.attempt) for row in found}:
                return found
            await asyncio.sleep(POLLED_EVERY)


def _held_beside(place: Place) -> set[tuple[str, int]]:
    """The attempts in the file beside a SQLite ledger, which alone knows of those whose callers have just left."""
    try:
        *lines, _ = Path(f"{place}.held").read_bytes().split(b"\n") if isinstance(place, Path) else [b""]
    except FileNotFoundError:
        return set()
    said = [json.loads(line) for line in lines]
    taken_back = {each["forgotten"] for each in said if "forgotten" in each}
    held = {(each["call_id"], each["attempt"]) for each in said if "call_id" in each}
    return {(call_id, attempt) for call_id, attempt in held if f"{call_id}/{attempt}" not in taken_back}
