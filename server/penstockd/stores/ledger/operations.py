"""What is written to the ledger, as rows; the same row written twice is there once."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

import msgspec
from msgspec import Struct

from penstockd.ledger import Entry

Value: TypeAlias = str | int | bool | None
Row: TypeAlias = Mapping[str, Value]
"""Values by column."""

LARGEST = 10**15
"""The most tokens or nano-USD (a million dollars) that one attempt is believed, so that sums of them fit 64 bits."""


class Kind(StrEnum):
    """HOLD adds a row, SETTLE adds or settles it, RELEASE takes back a HOLD, PROBE changes nothing."""

    HOLD = "hold"
    SETTLE = "settle"
    RELEASE = "release"
    PROBE = "probe"


class Operation(Struct, frozen=True):
    """One change of one row."""

    kind: Kind
    row: Row

    @property
    def can_be_refused(self) -> bool:
        """Whether nothing is lost if this is not written."""
        return self.kind is Kind.HOLD

    @property
    def remains(self) -> "Operation":
        """What is left to do when this could not be written: a settled row is written later, a held one taken back.

        Whether a commit that failed has failed is not always known.
        """
        return Operation(Kind.RELEASE, self.row) if self.can_be_refused else self


_COUNTS = ("uncached_input", "cached_input", "cache_write_input", "output", "reasoning", "cost_nanousd")

PROBE = Operation(Kind.PROBE, {})
"""Finds out whether anything can be written."""


def row_of(entry: Entry, instance: int) -> dict[str, Value]:
    """The row of `entry`, which the daemon `instance` makes; its texts hold no NUL, with which callers are refused."""
    usage, cost = entry.usage, entry.cost_nanousd
    row: dict[str, Value] = {
        "call_id": entry.call_id,
        "attempt": entry.attempt,
        "at_us": round(entry.at * 1e6),
        "instance": instance,
        "request_id": entry.request_id,
        "tenant": entry.tenant,
        "key": entry.key,
        "user_id": entry.user_id,
        "agent": entry.agent,
        "model": entry.model,
        "status": str(entry.status),
        "uncached_input": usage.uncached_input,
        "cached_input": usage.cached_input,
        "cache_write_input": usage.cache_write_input,
        "output": usage.output,
        "reasoning": usage.reasoning,
        "cost_nanousd": cost,
        "is_estimated": entry.is_estimated,
        "labels": msgspec.json.encode(entry.labels).decode() if entry.labels else "{}",
    }
    of_input = max(usage.uncached_input, usage.cached_input, usage.cache_write_input)
    if max(of_input, usage.output, usage.reasoning, cost or 0) > LARGEST:
        row |= {name: min(count, LARGEST) for name in _COUNTS if isinstance(count := row[name], int)}
    return row
