"""The statement behind each kind of operation, in either database's SQL."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from sqlalchemy import BindParameter, UpdateBase, bindparam, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from penstockd.stores.ledger.operations import Kind
from penstockd.stores.ledger.schema import ATTEMPTS, IS_HELD, SCHEMA

_KEY = [ATTEMPTS.c.call_id, ATTEMPTS.c.attempt]
_SETTLED = (
    "status",
    "uncached_input",
    "cached_input",
    "cache_write_input",
    "output",
    "reasoning",
    "cost_nanousd",
    "is_estimated",
)
"""What is known better when an attempt has ended; the truth also replaces what a restart made of a row."""


def statements(dialect: ModuleType) -> Mapping[Kind, UpdateBase]:
    """The statements for `dialect`, `sqlalchemy.dialects.sqlite` or `.postgresql`."""
    values: dict[str, BindParameter[Any]] = {column.name: bindparam(column.name) for column in ATTEMPTS.columns}
    insert = dialect.insert(ATTEMPTS).values(values)
    return {
        Kind.HOLD: insert.on_conflict_do_nothing(index_elements=_KEY),
        Kind.SETTLE: insert.on_conflict_do_update(
            index_elements=_KEY, set_={name: insert.excluded[name] for name in _SETTLED}
        ),
        Kind.RELEASE: delete(ATTEMPTS).where(
            ATTEMPTS.c.call_id == bindparam("call_id"),
            ATTEMPTS.c.attempt == bindparam("attempt"),
            IS_HELD,
        ),
        Kind.PROBE: update(SCHEMA).values(version=SCHEMA.c.version),
    }


SQLITE = statements(sqlite)
POSTGRESQL = statements(postgresql)
