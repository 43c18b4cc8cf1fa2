"""GetUsage: what a tenant used and what it cost, and how its budgets stand."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec.structs import asdict

from penstock.v1 import usage_service_pb2 as pb
from penstockd.budgets import Standing
from penstockd.call import Call
from penstockd.clock import Clock
from penstockd.errors import AccountingUnavailable, Overloaded, PermissionDenied, Violation, invalid
from penstockd.ledger import Ledger, LedgerUnavailable, Totals, UsageQuery
from penstockd.limits import StoreUnavailable
from penstockd.mistakes import NUL
from penstockd.period import Period
from penstockd.principal import Principal
from penstockd.resilience.backoff import soon
from penstockd.rules import Caller

Budgets: TypeAlias = Callable[[Caller, float], Awaitable[Sequence[Standing]]]
"""How the budgets stand that bind a caller at a moment in unix seconds; raises StoreUnavailable."""

EVERYONE: Final = "*"
"""The tenant whose name means all of them."""
MOST_REPORTS = 32
"""Reports that are made or wait to be: each reads rows by the thousand, and one is made at a time."""
MOST_OF_A_TENANT = 4
"""Of those, what a tenant's own keys may ask for; an operator's may ask for all."""


class UsageService:
    """Answers GetUsage from the ledger; a tenant's keys see their own tenant, an operator's keys all."""

    def __init__(self, ledger: Ledger, budgets: Budgets, clock: Clock, *, random: Callable[[], float]) -> None:
        """Read only; `random` draws from [0, 1): it spreads those who come back."""
        self._ledger = ledger
        self._budgets = budgets
        self._clock = clock
        self._random = random
        self._reports: Counter[str] = Counter()

    async def get_usage(self, call: Call[pb.GetUsageRequest]) -> None:
        """Send the sums that were asked for."""
        request, now = call.request, self._clock.wall()
        caller = _allowed(call)
        if violations := list(_violations(request, now)):
            raise invalid(*violations)
        tenant = request.tenant or caller.tenant
        query = UsageQuery(
            tenant="" if tenant == EVERYONE else tenant,
            user_id=request.user_id,
            agent=request.agent,
            model=request.model,
            since=_since(request, now),
            until=_seconds(request.end_time) if request.HasField("end_time") else None,
        )
        try:
            with self._room(caller):
                report = await self._ledger.usage(query)
            budgets = [] if tenant == EVERYONE else await self._budgets(_bound(caller, tenant, request), now)
        except (LedgerUnavailable, StoreUnavailable) as fault:
            raise AccountingUnavailable("the ledger cannot be read just now", retry_after=1.0) from fault
        await call.send(
            pb.GetUsageResponse(
                total=_totals(report.total),
                by_agent=_breakdown(report.by_agent),
                by_model=_breakdown(report.by_model),
                by_user=_breakdown(report.by_user),
                budgets=[_budget(standing) for standing in budgets],
            )
        )

    @contextmanager
    def _room(self, caller: Principal) -> Iterator[None]:
        """Hold a place for one report; raise Overloaded where all are taken."""
        reports, tenant = self._reports, caller.tenant
        most = MOST_REPORTS if caller.is_operator else MOST_OF_A_TENANT
        if reports[tenant] >= most or reports.total() >= MOST_REPORTS:
            raise Overloaded("too many reports of usage are being made at once", retry_after=soon(self._random))
        reports[tenant] += 1
        try:
            yield
        finally:
            reports[tenant] -= 1
            reports += Counter()  # leaves out tenants that have none


def _allowed(call: Call[pb.GetUsageRequest]) -> Principal:
    """The caller, who may see what it asks for."""
    caller, tenant = call.principal, call.request.tenant
    if tenant not in ("", caller.tenant) and not caller.is_operator:
        raise PermissionDenied("only a key whose role is operator may see what other tenants used")
    return caller


def _violations(request: pb.GetUsageRequest, now: float) -> Iterator[Violation]:
    for field in ("tenant", "user_id", "agent", "model"):
        if NUL in getattr(request, field):
            yield Violation(field, "must not hold NUL")
    for field, timestamp in (("start_time", request.start_time), ("end_time", request.end_time)):
        if not 0 <= timestamp.nanos < 10**9:
            yield Violation(f"{field}.nanos", "must be from 0 to 999,999,999")
    since = _since(request, now)
    if request.HasField("end_time"):
        if _seconds(request.end_time) <= since:
            yield Violation("end_time", "must be after start_time, which is the start of this month unless set")
    elif since > now:
        yield Violation("start_time", "must not be in the future, unless end_time is set to be after it")


def _since(request: pb.GetUsageRequest, now: float) -> float:
    return _seconds(request.start_time) if request.HasField("start_time") else Period.MONTH.start(now)


def _bound(caller: Principal, tenant: str, request: pb.GetUsageRequest) -> Caller:
    """Whose budgets are shown: the tenant's, the caller's own, those of the user and agent that were asked for."""
    principal = caller if tenant == caller.tenant else Principal(tenant=tenant)
    return Caller(principal=principal, user_id=request.user_id, agent=request.agent)


def _breakdown(parts: Sequence[tuple[str, Totals]]) -> list[pb.UsageBreakdown]:
    return [pb.UsageBreakdown(name=name, totals=_totals(totals)) for name, totals in parts]


def _totals(totals: Totals) -> pb.UsageTotals:
    return pb.UsageTotals(**asdict(totals))


def _budget(standing: Standing) -> pb.BudgetState:
    demand, state = standing.demand, standing.state
    return pb.BudgetState(
        subject=demand.subject,
        rule=demand.rule,
        limit_nanousd=demand.limit,
        spent_nanousd=state.spent,
        held_nanousd=state.held,
        reset_time=None if demand.resets_at is None else Timestamp(seconds=int(demand.resets_at)),
        shadow=demand.is_shadow,
    )


def _seconds(timestamp: Timestamp) -> float:
    """Unix seconds, within the years 1 to 9999 that a Timestamp may name and need not."""
    return min(max(timestamp.seconds, -62_135_596_800), 253_402_300_799) + timestamp.nanos / 1e9
