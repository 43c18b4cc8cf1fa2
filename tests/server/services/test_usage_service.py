"""GetUsage shows callers what is theirs to see."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec.structs import replace

from fakes.calls import a_call
from fakes.clock import FakeClock
from fakes.demands import standing
from penstock.v1.usage_service_pb2 import BudgetState, GetUsageRequest, GetUsageResponse, UsageBreakdown, UsageTotals
from penstockd.budgets import Standing
from penstockd.call import Reply
from penstockd.errors import AccountingUnavailable, InvalidRequest, Overloaded, PermissionDenied, Unauthenticated
from penstockd.ledger import LedgerUnavailable, NoLedger, Totals, UsageQuery, UsageReport
from penstockd.limits import StoreUnavailable
from penstockd.outcome import Outcome
from penstockd.principal import KeyRole, Principal
from penstockd.rules import Caller
from penstockd.services.usage import MOST_OF_A_TENANT, MOST_REPORTS, UsageService

NOVEMBER = datetime(2023, 11, 1, tzinfo=UTC).timestamp()
CALLER = Principal(tenant="acme", key="web")
OPERATOR = Principal(tenant="acme", key="ops", role=KeyRole.OPERATOR)
TOTALS = Totals(requests=1, input_tokens=2, output_tokens=3, cost_nanousd=4, cost_estimated_nanousd=5, wasted_nanousd=6)
REPORT = UsageReport(
    total=TOTALS, by_agent=[("support", TOTALS)], by_model=[("fast", TOTALS)], by_user=[("u", TOTALS), ("", TOTALS)]
)


class Book(NoLedger):
    """A ledger that says what it was told to say, and remembers what it was asked."""

    def __init__(self) -> None:
        self.report: UsageReport | Exception = REPORT
        self.queries: list[UsageQuery] = []
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def usage(self, query: UsageQuery) -> UsageReport:
        self.queries.append(query)
        await self.is_open.wait()
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


class Desk:
    """The service, with a ledger and budgets that behave."""

    def __init__(self) -> None:
        self.ledger = Book()
        self.standings: Sequence[Standing] | Exception = ()
        self.callers: list[Caller] = []
        self._service = UsageService(self.ledger, self._budgets, FakeClock(), random=lambda: 0.5)

    async def _budgets(self, caller: Caller, now: float) -> Sequence[Standing]:
        self.callers.append(caller)
        if isinstance(self.standings, Exception):
            raise self.standings
        return self.standings

    async def ask(self, principal: Principal | None = CALLER, **fields: object) -> GetUsageResponse:
        """Call, and return the answer."""
        replies: list[Reply] = []

        async def send(reply: Reply) -> None:
            replies.append(reply)

        request = GetUsageRequest(**fields)  # type: ignore[arg-type]
        await self._service.get_usage(a_call(request, send=send, outcome=Outcome(principal=principal)))
        (response,) = replies
        assert isinstance(response, GetUsageResponse)
        return response


@pytest.fixture
def desk() -> Desk:
    """A new one."""
    return Desk()


async def test_an_empty_request_is_the_callers_tenant_this_month(desk: Desk) -> None:
    """In UTC, up to now."""
    await desk.ask()

    assert desk.ledger.queries == [UsageQuery(tenant="acme", since=NOVEMBER)]
    assert desk.callers == [Caller(principal=CALLER, user_id="", agent="")]


async def test_every_field_narrows_the_query(desk: Desk) -> None:
    """And names the user and the agent whose budgets are shown."""
    await desk.ask(
        tenant="acme",
        user_id="u",
        agent="a",
        model="m",
        start_time=Timestamp(seconds=5, nanos=500_000_000),
        end_time=Timestamp(seconds=9),
    )

    assert desk.ledger.queries == [UsageQuery(tenant="acme", user_id="u", agent="a", model="m", since=5.5, until=9.0)]
    assert desk.callers == [Caller(principal=CALLER, user_id="u", agent="a")]


async def test_the_report_is_sent_whole(desk: Desk) -> None:
    """Every number in its place."""
    desk.standings = [
        standing(limit=7, spent=8, held=9, rule="1 USD per day", resets_at=86400.0),
        standing(limit=1, subject="key:acme/web", rule="2 USD in all", is_shadow=True),
    ]
    sums = UsageTotals(
        requests=1, input_tokens=2, output_tokens=3, cost_nanousd=4, cost_estimated_nanousd=5, wasted_nanousd=6
    )

    response = await desk.ask()

    assert response == GetUsageResponse(
        total=sums,
        by_agent=[UsageBreakdown(name="support", totals=sums)],
        by_model=[UsageBreakdown(name="fast", totals=sums)],
        by_user=[UsageBreakdown(name="u", totals=sums), UsageBreakdown(totals=sums)],
        budgets=[
            BudgetState(
                subject="tenant:acme",
                rule="1 USD per day",
                limit_nanousd=7,
                spent_nanousd=8,
                held_nanousd=9,
                reset_time=Timestamp(seconds=86400),
            ),
            BudgetState(subject="key:acme/web", rule="2 USD in all", limit_nanousd=1, shadow=True),
        ],
    )


async def test_no_more_reports_are_made_at_once_than_the_ledger_bears(desk: Desk) -> None:
    """Neither for one tenant nor for all together; whoever is refused may come back, and does not wait for a report."""
    desk.ledger.is_open.clear()
    others = range(MOST_REPORTS - MOST_OF_A_TENANT - 1)
    asked = [*[CALLER] * MOST_OF_A_TENANT, OPERATOR, *(replace(CALLER, tenant=f"t{number}") for number in others)]
    reports = [asyncio.create_task(desk.ask(principal)) for principal in asked]
    await asyncio.sleep(0)

    for principal in (CALLER, replace(CALLER, tenant="one more")):
        with pytest.raises(Overloaded) as refused:
            await desk.ask(principal)
        assert 0.1 <= (refused.value.retry_after or 0.0) <= 0.5
    desk.ledger.is_open.set()
    results = await asyncio.gather(*reports, return_exceptions=True)

    assert [type(result) for result in results] == [GetUsageResponse] * MOST_REPORTS
    await desk.ask(CALLER)


@pytest.mark.parametrize("tenant", ["umbrella", "*"])
async def test_other_tenants_are_for_operators(desk: Desk, tenant: str) -> None:
    """A tenant's key sees its own tenant only."""
    with pytest.raises(PermissionDenied):
        await desk.ask(CALLER, tenant=tenant)

    await desk.ask(OPERATOR, tenant=tenant)

    assert [query.tenant for query in desk.ledger.queries] == ["" if tenant == "*" else tenant]
    assert desk.callers == ([] if tenant == "*" else [Caller(principal=Principal(tenant=tenant), user_id="", agent="")])


async def test_a_caller_that_nobody_knows_sees_nothing(desk: Desk) -> None:
    """No chain forgets to ask who calls, and neither does this."""
    with pytest.raises(Unauthenticated):
        await desk.ask(None)


@pytest.mark.parametrize(
    ("start_time", "end_time", "blamed"),
    [
        (Timestamp(seconds=9), Timestamp(seconds=9), "end_time"),
        (None, Timestamp(seconds=5), "end_time"),
        (Timestamp(seconds=2**62), None, "start_time"),
    ],
)
async def test_a_time_that_ends_before_it_begins_is_the_callers_mistake(
    desk: Desk, start_time: Timestamp | None, end_time: Timestamp | None, blamed: str
) -> None:
    """Whichever end was left out, and however far away the other is; what was sent is to blame."""
    with pytest.raises(InvalidRequest) as caught:
        await desk.ask(start_time=start_time, end_time=end_time)

    assert [violation.field for violation in caught.value.violations] == [blamed]
    assert blamed in caught.value.message


@pytest.mark.parametrize("nanos", [-1, 10**9])
async def test_a_time_has_less_than_a_second_of_nanoseconds(desk: Desk, nanos: int) -> None:
    """Both times are looked at; the most there can be is fine."""
    with pytest.raises(InvalidRequest) as caught:
        await desk.ask(start_time=Timestamp(seconds=5, nanos=nanos), end_time=Timestamp(seconds=9, nanos=nanos))
    await desk.ask(start_time=Timestamp(seconds=5, nanos=10**9 - 1))

    assert [violation.field for violation in caught.value.violations] == ["start_time.nanos", "end_time.nanos"]
    assert len(desk.ledger.queries) == 1


@pytest.mark.parametrize("field", ["tenant", "user_id", "agent", "model"])
async def test_a_name_that_no_row_can_have_is_the_callers_mistake(desk: Desk, field: str) -> None:
    """One with a NUL: PostgreSQL takes no question about it, so that the ledger would seem to be gone."""
    with pytest.raises(InvalidRequest) as caught:
        await desk.ask(OPERATOR, **{field: "a\0b"})

    assert [(each.field, each.description) for each in caught.value.violations] == [(field, "must not hold NUL")]
    assert desk.ledger.queries == []


async def test_a_ledger_or_a_store_that_is_gone_is_said(desk: Desk) -> None:
    """The caller may try again; the reason is the operator's."""
    desk.ledger.report = LedgerUnavailable("the disk is full")
    with pytest.raises(AccountingUnavailable) as of_the_ledger:
        await desk.ask()
    desk.ledger.report, desk.standings = REPORT, StoreUnavailable("gone")
    with pytest.raises(AccountingUnavailable):
        await desk.ask()

    assert of_the_ledger.value.retry_after == 1.0
    assert "disk" not in of_the_ledger.value.message
