"""The snapshot's fields, as /status writes them in JSON.

Moments are unix seconds, durations seconds, money nano-USD. Every list is bounded; what is not known is null.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from penstockd.changes import Change
from penstockd.metrics.distribution import Summary

Severity: TypeAlias = Literal["critical", "warning", "notice"]
"""Critical: callers suffer now. Warning: some do, or will. Notice: worth knowing."""

FAULTS = ("UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED")
"""The codes that are the daemon's fault or a model's; the others are the caller's affair."""

REFUSALS = (
    "FAILED_PRECONDITION",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
)
"""The codes of calls that were not let in."""


class Problem(Struct, frozen=True):
    """Something that is wrong now, in a sentence.

    `what` is as in changes, or attempts, calls, certificate, price, telemetry, tenant.
    """

    severity: Severity
    what: str
    subject: str
    text: str


class Summaries(Struct, frozen=True, kw_only=True):
    """A distribution since the start, and of the last five minutes."""

    since_start: Summary
    last_5m: Summary


class Ready(Struct, frozen=True, kw_only=True):
    """Whether the daemon takes calls, and what stands against it."""

    ok: bool
    reasons: Sequence[str]


class Calls(Struct, frozen=True, kw_only=True):
    """Calls that ask an agent: how many run, of how many that may, and how all that ended did.

    Those that failed did so by the daemon's fault or a model's, and `by_reason` tells of them alone; of the rest, who
    got no answer was refused, or left. Those that were shed are among those that failed, as OVERLOADED.
    """

    in_flight: int
    limit: int
    total: int
    by_code: Mapping[str, int]
    by_reason: Mapping[str, int]
    shed: int
    last_5m_by_code: Mapping[str, int]
    last_5m_by_reason: Mapping[str, int]
    last_5m_shed: int
    last_5m_failed: int
    last_5m_refused: int


class Durations(Struct, frozen=True, kw_only=True):
    """Of whole calls, until the first content, and of their time in Penstock itself.

    Calls that were refused are not among the whole ones: they take next to nothing, and would hide what the others do.
    """

    call: Summaries
    first_content: Summaries
    overhead: Summaries


class Point(Struct, frozen=True, kw_only=True):
    """What ended in the `seconds` until `at`; errors are the calls that failed."""

    at: float
    seconds: float
    calls: int
    errors: int
    refused: int
    p50: float | None
    p99: float | None
    cost_nanousd: int


class ModelRow(Struct, frozen=True, kw_only=True):
    """One model of the pool; `state` is closed, open, half_open or disabled, `ttft` its lately usual first content.

    `error_rate` is of what may open its circuit, `blameless` the share of all that came to nothing by nobody's fault.
    """

    name: str
    provider: str
    upstream: str
    state: str
    cause: str
    in_flight: int
    max_in_flight: int
    error_rate: float
    blameless: float
    ttft: float | None
    next_probe_in: float | None
    cooldown: float | None
    calls: int
    calls_last_5m: int
    cost_nanousd: int


class Cache(Struct, frozen=True, kw_only=True):
    """How full the cache of answers is, and how much it helps; a join shared a call in flight."""

    enabled: bool
    entries: int
    max_entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    joins: int
    evictions: int


class Idempotency(Struct, frozen=True, kw_only=True):
    """Calls whose idempotency key had an answer already, and those that joined the call it named."""

    replays: int
    joins: int


class LimitRow(Struct, frozen=True, kw_only=True):
    """What one rule of a tenant has denied, and of late let pass; a shadow only would have denied."""

    rule: str
    per: str
    tenant: str
    shadow: bool
    denials: int
    denials_last_minute: int
    admissions_last_minute: int


class TenantRow(Struct, frozen=True, kw_only=True):
    """One tenant, or all `other` ones; its denials are those of its limits and budgets, but for shadows.

    A call that is larger than a limit's whole burst is among them, whatever its status.
    """

    tenant: str
    calls: int
    errors: int
    denials: int
    cost_nanousd: int
    calls_last_5m: int


class BudgetRow(Struct, frozen=True, kw_only=True):
    """One budget of a whole tenant; `fraction` is what is spent and held of its limit; a shadow refuses nothing."""

    tenant: str
    rule: str
    shadow: bool
    limit_nanousd: int
    spent_nanousd: int
    held_nanousd: int
    fraction: float
    resets_at: float | None


class Spend(Struct, frozen=True, kw_only=True):
    """What all attempts have cost; wasted is what no caller got an answer for."""

    nanousd: int
    wasted_nanousd: int
    last_5m_nanousd: int


class LedgerRow(Struct, frozen=True, kw_only=True):
    """Whether attempts can be accounted for, how many rows wait to be written, and how long a commit takes."""

    failing: bool
    fault: str
    waiting: int
    commit: Summaries


class Dropped(Struct, frozen=True, kw_only=True):
    """Telemetry for which there was no way out."""

    logs: int
    spans: int
    metrics: int


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything at one moment, `at`; what is wrong comes first. Who serves plaintext has no certificate."""

    version: str
    environment: str
    at: float
    started_at: float
    uptime_seconds: float
    problems: Sequence[Problem]
    ready: Ready
    calls: Calls
    durations: Durations
    traffic: Sequence[Point]
    models: Sequence[ModelRow]
    cache: Cache
    idempotency: Idempotency
    limits: Sequence[LimitRow]
    tenants: Sequence[TenantRow]
    budgets: Sequence[BudgetRow]
    spend: Spend
    ledger: LedgerRow
    loop_lag: Summaries
    telemetry_dropped: Dropped
    certificate_expires_at: float | None
    changes: Sequence[Change]
