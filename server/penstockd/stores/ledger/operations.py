"""What is written to the ledger, as rows; the same row written twice is there once."""

from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstockd.ledger import Entry

LARGEST = 10**15
"""The most tokens or nano-USD (a million dollars) that one attempt is believed, so that sums of them fit 64 bits."""


class Kind(StrEnum):
    """HOLD adds a row, SETTLE adds or settles it, RELEASE takes back a HOLD, PROBE changes nothing."""

    HOLD = "hold"
    SETTLE = "settle"
    RELEASE = "release"
    PROBE = "probe"


class Row(Struct, frozen=True):
    """One row of the attempts: the table's columns, in their order."""

    call_id: str
    attempt: int
    at_us: int
    instance: int
    request_id: str
    tenant: str
    key: str
    user_id: str
    agent: str
    model: str
    status: str
    uncached_input: int
    cached_input: int
    cache_write_input: int
    output: int
    reasoning: int
    cost_nanousd: int | None
    is_estimated: bool
    labels: str


class Operation(Struct, frozen=True):
    """One change of one row; a PROBE has none."""

    kind: Kind
    row: Row | None

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

PROBE = Operation(Kind.PROBE, None)
"""Finds out whether anything can be written."""


def row_of(entry: Entry, instance: int) -> Row:
    """The row of `entry`, which the daemon `instance` makes; its texts hold no NUL, with which callers are refused."""
    usage, cost = entry.usage, entry.cost_nanousd
    row = Row(
        entry.call_id,
        entry.attempt,
        round(entry.at * 1e6),
        instance,
        entry.request_id,
        entry.tenant,
        entry.key,
        entry.user_id,
        entry.agent,
        entry.model,
        str(entry.status),
        usage.uncached_input,
        usage.cached_input,
        usage.cache_write_input,
        usage.output,
        usage.reasoning,
        cost,
        entry.is_estimated,
        msgspec.json.encode(entry.labels).decode() if entry.labels else "{}",
    )
    most = max(usage.uncached_input, usage.cached_input, usage.cache_write_input, usage.output, usage.reasoning)
    if most <= LARGEST and (cost is None or cost <= LARGEST):
        return row
    return replace(row, **{name: min(count, LARGEST) for name in _COUNTS if (count := getattr(row, name)) is not None})
