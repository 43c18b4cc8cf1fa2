"""A caller gets what its limits allow, and its places are its own only for as long as its calls run."""

import asyncio
from collections.abc import Sequence
from functools import partial
from random import Random

import pytest

from fakes.calls import Inner, a_call, ending
from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.call import Call, Handler, chain
from penstockd.errors import AccountingUnavailable, Overloaded, Quota, RateLimited, Unauthenticated
from penstockd.interceptors.accounting.denials import Denials
from penstockd.interceptors.accounting.holds import Holds
from penstockd.interceptors.accounting.settlement import Settlements
from penstockd.interceptors.rate_limit import RateLimit
from penstockd.interceptors.shed import Shed
from penstockd.limits import Amounts, Demand, StoreUnavailable, Verdict
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Instruments
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.outcome import Attempt, Outcome
from penstockd.principal import Principal
from penstockd.request import Request
from penstockd.resilience.permits import Permits
from penstockd.rules import LimitRule, Per, Rate, Rulebook, TenantRules
from penstockd.stores.memory_limits import MemoryLimits

NOTHING_HELD = "0 leases, 0 budgets, 0 holds>"


def per_minute(requests: int, burst: int) -> Rate:
    """A rate."""
    return Rate(per_second=requests / 60, burst=burst, text=f"{requests}/m")


class Desk:
    """A RateLimit of tenant acme, its store and its clock; `admit` makes a call of it."""

    def __init__(self, *rules: LimitRule, store: MemoryLimits | None = None) -> None:
        self.clock = FakeClock()
        self.store = store or MemoryLimits(self.clock, random=lambda: 0.5)
        self.telescope = Telescope()
        denials = Denials(self.telescope.instruments, TenantLabels())
        holds = Holds(self.store, settlements=Settlements(Log("test")), denials=denials)
        self.rate_limit = RateLimit(Rulebook({"acme": TenantRules(limits=rules)}), holds, longest_call=600.0)

    def call(self, *, user: str = "u1", agent: str = "support", tenant: str = "acme") -> Call[Request]:
        """A call of this caller."""
        outcome = Outcome(principal=Principal(tenant=tenant, key="web"))
        return a_call(Request(agent=agent, input="hi", user_id=user), outcome=outcome)

    async def admit(
        self, handler: Handler[Request] | None = None, call: Call[Request] | None = None
    ) -> BaseException | None:
        """Make a call and return what it ended with."""
        return await ending(call or self.call(), partial(self.rate_limit, proceed=handler or Inner()))

    @property
    def holds_nothing(self) -> bool:
        """Whether no call holds anything."""
        return repr(self.store).endswith(NOTHING_HELD)


async def admissions(desk: Desk, callers: Sequence[dict[str, str]]) -> list[bool]:
    """Which of these callers were admitted, in order."""
    return [await desk.admit(call=desk.call(**caller)) is None for caller in callers]


async def test_a_caller_over_its_rate_is_told_the_rule_and_the_delay() -> None:
    """And gets its request when that has passed."""
    desk = Desk(LimitRule(per=Per.USER, requests=per_minute(60, burst=2)))
    assert await admissions(desk, [{}, {}]) == [True, True]
    inner = Inner()

    error = await desk.admit(inner)

    assert isinstance(error, RateLimited)
    assert error.quota == Quota("user:acme/u1", "60/m requests")
    assert error.retry_after == pytest.approx(1.0)
    assert inner.calls == []
    desk.clock.advance(1.0)
    assert await desk.admit() is None


async def test_the_caller_learns_how_its_tightest_rate_stands() -> None:
    """On answers and refusals alike; shadows are not told of."""
    desk = Desk(
        LimitRule(per=Per.TENANT, requests=per_minute(600, burst=100)),
        LimitRule(per=Per.USER, requests=per_minute(30, burst=3)),
        LimitRule(per=Per.KEY, requests=per_minute(1, burst=1), is_shadow=True),
    )
    calls = [desk.call() for _ in range(4)]

    for call in calls:
        await desk.admit(call=call)

    told = [dict(call.outcome.headers) for call in calls]
    assert [headers["x-ratelimit-limit"] for headers in told] == ["3"] * 4
    assert [headers["x-ratelimit-remaining"] for headers in told] == ["2", "1", "0", "0"]
    assert [headers["x-ratelimit-reset"] for headers in told] == ["2", "4", "6", "6"]


async def test_nobody_passes_without_a_name() -> None:
    """Not even where nothing is limited: no chain forgets to ask who calls."""
    assert isinstance(await Desk().admit(call=a_call(Request(agent="support", input="hi"))), Unauthenticated)


async def test_without_a_rate_there_is_nothing_to_tell() -> None:
    """A tenant without limits is not even counted."""
    desk = Desk(LimitRule(per=Per.TENANT, concurrency=1))
    bounded, free = desk.call(), desk.call(tenant="free")

    assert await desk.admit(call=bounded) is None
    assert await desk.admit(call=free) is None

    assert (bounded.outcome.headers, free.outcome.headers) == ([], [])


@pytest.mark.parametrize(
    ("per", "callers"),
    [
        (Per.TENANT, [{}, {"user": "u2"}, {"agent": "other"}]),
        (Per.USER, [{}, {"agent": "other"}, {"user": "u2"}, {"user": ""}, {"user": ""}]),
        (Per.AGENT, [{}, {"user": "u2"}, {"agent": "other"}, {"agent": "x" * 1000}, {"agent": "x" * 2000}]),
        (Per.KEY, [{}, {"user": "u2"}, {"agent": "other"}]),
    ],
)
async def test_each_subject_is_counted_on_its_own(per: Per, callers: list[dict[str, str]]) -> None:
    """Those without a user are one, and so are agents of names that nobody could have."""
    desk = Desk(LimitRule(per=per, requests=per_minute(1, burst=1)))
    expected = {
        Per.TENANT: [True, False, False],
        Per.USER: [True, False, True, True, False],
        Per.AGENT: [True, False, True, True, False],
        Per.KEY: [True, False, False],
    }

    assert await admissions(desk, callers) == expected[per]


async def test_a_place_is_held_for_as_long_as_the_call_runs() -> None:
    """However it ends."""
    desk = Desk(LimitRule(per=Per.USER, concurrency=1))
    seen: list[BaseException | None] = []

    async def while_it_runs(_: Call[Request]) -> None:
        seen.append(await desk.admit())
        raise ValueError

    assert isinstance(await desk.admit(while_it_runs), ValueError)

    [refused] = seen
    assert isinstance(refused, RateLimited)
    assert refused.quota == Quota("user:acme/u1", "1 concurrent requests")
    assert refused.retry_after == pytest.approx(0.3)
    assert desk.holds_nothing
    assert await desk.admit() is None


async def test_places_come_back_from_callers_who_cancel_at_any_moment() -> None:
    """Two hundred calls, half of them given up, and never more than four at once."""
    desk, random = Desk(LimitRule(per=Per.TENANT, concurrency=4)), Random(7)
    running = most = 0

    async def work(_: Call[Request]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            for _turn in range(random.randrange(6)):
                await asyncio.sleep(0)
        finally:
            running -= 1

    async def caller() -> None:
        for _ in range(100):
            if not isinstance(await desk.admit(work), RateLimited):
                return
            await asyncio.sleep(0)

    callers = [asyncio.ensure_future(caller()) for _ in range(200)]
    for given_up in random.sample(callers, 100):
        given_up.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*callers, return_exceptions=True)

    assert most == 4
    assert desk.holds_nothing


async def test_a_call_that_is_shed_gets_its_admission_back() -> None:
    """It asked for too much of the daemon, and nothing of its tenant."""
    desk = Desk(LimitRule(per=Per.TENANT, requests=per_minute(1, burst=1), concurrency=1))
    permits = Permits(1)
    permits.take()
    call = desk.call()

    error = await ending(
        call, chain([desk.rate_limit, Shed(permits, random=lambda: 0.0, instruments=Instruments())], Inner())
    )

    assert isinstance(error, Overloaded)
    assert call.outcome.headers == []
    assert await desk.admit() is None


async def test_an_agent_that_says_it_is_overloaded_has_asked_all_the_same() -> None:
    """Only what is shed costs nothing."""
    desk = Desk(LimitRule(per=Per.TENANT, requests=per_minute(1, burst=1)))

    async def busy(call: Call[Request]) -> None:
        call.outcome.attempts.append(Attempt(model="m", started_at=0.0))
        raise Overloaded("the tools are busy", retry_after=1.0)

    assert isinstance(await ending(desk.call(), chain([desk.rate_limit], busy)), Overloaded)
    assert isinstance(await desk.admit(), RateLimited)


async def test_a_shadow_denies_nothing_and_is_counted() -> None:
    """A limit can be tried before it binds."""
    desk = Desk(LimitRule(per=Per.TENANT, requests=per_minute(1, burst=1), is_shadow=True))

    assert await admissions(desk, [{}, {}, {}]) == [True] * 3

    [(attributes, value)] = desk.telescope.points("penstock.limit.denials")
    assert (attributes["penstock.rule.shadow"], value) == ("true", 2)


class OutOfReach(MemoryLimits):
    """A store that cannot be reached."""

    is_local = False

    async def hold(self, hold_id: str, demands: Sequence[Demand], asked: Amounts) -> Verdict:
        raise StoreUnavailable


async def test_limits_that_cannot_be_checked_refuse_the_call() -> None:
    """The caller may come back soon."""
    desk = Desk(LimitRule(per=Per.TENANT, concurrency=1), store=OutOfReach(FakeClock(), random=lambda: 0.0))

    error = await desk.admit()

    assert isinstance(error, AccountingUnavailable)
    assert error.retry_after == 1.0
