"""The ledger as the meter and the services see it: a row per attempt, and sums over rows."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import inf
from typing import Protocol

from msgspec import Struct

from penstockd.usage import Usage


class EntryStatus(StrEnum):
    """How an attempt stands. HELD: on its way, or lost with the process that made it."""

    HELD = "held"
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


class Entry(Struct, frozen=True, kw_only=True):
    """One attempt: `call_id` is the daemon's own and unique, `request_id` what the caller knows it by.

    `at` is unix seconds, `cost_nanousd` None without a known price. A HELD entry carries the estimate that it is
    charged if the process dies before it is settled.
    """

    call_id: str
    attempt: int
    at: float
    request_id: str
    tenant: str
    key: str
    user_id: str
    agent: str
    model: str
    status: EntryStatus
    usage: Usage
    cost_nanousd: int | None
    is_estimated: bool
    labels: Mapping[str, str] = {}


class LedgerUnavailable(Exception):
    """The ledger cannot be written or read just now; the message is for the operator's log."""


class CannotOpenLedger(Exception):
    """The daemon cannot start on its ledger; the message is one line for the operator, and holds no secret."""


class Ledger(Protocol):
    """Accounts for every attempt."""

    @property
    def fault(self) -> str:
        """Why nothing can be written just now, for readiness; empty when all is well."""

    @property
    def waiting(self) -> int:
        """How many settled entries are not yet written."""

    async def hold(self, entry: Entry, ends_at: float = inf) -> None:
        """Write a HELD entry; returns when it is durable. Raises LedgerUnavailable, in time for a call that `ends_at`.

        That is in monotonic seconds. A hold that raises, or is cancelled, leaves nothing.
        """

    async def settle(self, entry: Entry) -> None:
        """Settle an entry that is held; returns when it is durable.

        Cancelling whoever waits does not stop it.
        An entry that cannot be written now is kept and written later, in order: raises LedgerUnavailable meanwhile,
        once, to say so.
        """

    async def release(self, entry: Entry) -> None:
        """Take back an entry that is held, as no attempt came of it; done once begun, as `settle` is.

        Raises LedgerUnavailable if it is taken back later.
        """

    async def usage(self, query: "UsageQuery") -> "UsageReport":
        """Sum the settled and lost entries that match. Raises LedgerUnavailable."""

    async def spent(self, since: float, until: float | None) -> Sequence["Spending"]:
        """What each tenant's users, agents and keys have cost from `since` until before `until`, HELD entries left out.

        In unix seconds; None is no end.
        """


class NoLedger:
    """Keeps nothing: for a daemon that is built and thrown away."""

    fault = ""
    waiting = 0

    async def hold(self, entry: Entry, ends_at: float = inf) -> None:
        """Forget it."""

    async def settle(self, entry: Entry) -> None:
        """Forget it."""

    async def release(self, entry: Entry) -> None:
        """Nothing is held."""

    async def usage(self, query: "UsageQuery") -> "UsageReport":  # noqa: ARG002 - it would find nothing
        """Nothing was used."""
        return UsageReport(total=Totals(), by_agent=(), by_model=(), by_user=())

    async def spent(self, since: float, until: float | None) -> Sequence["Spending"]:  # noqa: ARG002 - as above
        """Nothing was spent."""
        return ()


class UsageQuery(Struct, frozen=True, kw_only=True):
    """Which entries to sum; empty strings and None match all. Times are unix seconds, `until` excluded."""

    tenant: str = ""
    user_id: str = ""
    agent: str = ""
    model: str = ""
    since: float | None = None
    until: float | None = None


class Totals(Struct, frozen=True, kw_only=True):
    """Sums over entries; money in nano-USD."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0
    cost_estimated_nanousd: int = 0
    wasted_nanousd: int = 0


class UsageReport(Struct, frozen=True, kw_only=True):
    """The total, and the same by agent, model and user as (name, totals), dearest first, at most 1,000 each."""

    total: Totals
    by_agent: Sequence[tuple[str, Totals]]
    by_model: Sequence[tuple[str, Totals]]
    by_user: Sequence[tuple[str, Totals]]


class Spending(Struct, frozen=True, kw_only=True):
    """What one combination of tenant, user, agent and key has cost, in nano-USD."""

    tenant: str
    user_id: str
    agent: str
    key: str
    cost_nanousd: int


class Loss(Spending, frozen=True, kw_only=True):
    """An attempt of a daemon that died, which began `at`, in unix seconds, and was charged its estimate."""

    at: float
