"""Budgets count what the ledger says was spent, whatever comes between."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from fakes.clock import FakeClock
from penstockd.ledger import CannotOpenLedger, LedgerUnavailable, Loss, NoLedger, Spending
from penstockd.limits import Crossing
from penstockd.logs.log import Log
from penstockd.period import Period
from penstockd.principal import Principal
from penstockd.reconciliation import LOOK_EVERY, Reconciliation
from penstockd.rules import BudgetRule, Caller, Per, Rulebook, TenantRules, budget_demand
from penstockd.stores.memory_budgets import KEPT
from penstockd.stores.memory_limits import MemoryLimits

START = FakeClock().wall()


def rule(per: Per, period: Period = Period.MONTH, limit: int = 100) -> BudgetRule:
    """A budget."""
    alert_at = (0.5, 0.8, 1.0)
    return BudgetRule(per=per, limit=limit, period=period, text=f"{limit} per {period.value}", alert_at=alert_at)


OF_A_USER = rule(Per.USER)
OF_ALL = rule(Per.TENANT)


def of_acme(*rules: BudgetRule) -> Rulebook:
    """These budgets of one tenant."""
    return Rulebook({"acme": TenantRules(budgets=rules)})


def spending(cost: int, user: str = "u1", agent: str = "support", key: str = "web", tenant: str = "acme") -> Spending:
    """What this combination has cost."""
    return Spending(tenant=tenant, user_id=user, agent=agent, key=key, cost_nanousd=cost)


def loss(cost: int, user: str = "u1", *, at: float = START) -> Loss:
    """An attempt of a daemon that died."""
    return Loss(tenant="acme", user_id=user, agent="support", key="web", cost_nanousd=cost, at=at)


class Books(NoLedger):
    """A ledger in which something was spent: in each period as told, else in any; it may be away, or slow."""

    def __init__(self) -> None:
        self.spendings: list[Spending] = []
        self.by_period: Mapping[Period, list[Spending]] = {}
        self.is_away = False
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.reads = 0
        self.asked: list[tuple[float, float | None]] = []

    async def spent(self, since: float, until: float | None) -> Sequence[Spending]:
        self.reads += 1
        self.asked.append((since, until))
        await self.is_open.wait()
        if self.is_away:
            raise LedgerUnavailable("the disk is gone")
        return {period.start(START): rows for period, rows in self.by_period.items()}.get(since, self.spendings)


class Desk:
    """Budgets that are reconciled with a ledger, and what they were found to cross."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryLimits(self.clock, random=lambda: 0.0)
        self.ledger = Books()
        self.crossings: list[Crossing] = []
        self.reconciliation = Reconciliation(
            self.store, self.ledger, crossed=self.crossings.extend, clock=self.clock, log=Log("test")
        )

    async def start(self, rulebook: Rulebook, *spendings: Spending) -> None:
        """Start by these rules, where so much was spent."""
        self.ledger.spendings = list(spendings)
        self.reconciliation.use(rulebook)
        await self.reconciliation.start()

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Keep up with it meanwhile."""
        task = asyncio.create_task(self.reconciliation.keep_up())
        await self.look()
        yield
        task.cancel()

    async def look(self) -> None:
        """Let it look once more."""
        self.clock.advance(LOOK_EVERY)
        for _ in range(10):
            await asyncio.sleep(0)

    async def reload(self, rulebook: Rulebook) -> None:
        """Use these rules, and let it look."""
        self.reconciliation.use(rulebook)
        async with self.kept_up():
            pass

    async def spent(self, user: str = "", *, agent: str = "", key: str = "", tenant: str = "acme") -> list[int]:
        """What counts in each of the caller's budgets."""
        caller, now = Caller(principal=Principal(tenant=tenant, key=key), user_id=user, agent=agent), self.clock.wall()
        demands = [budget_demand(rule, caller, now) for rule in self.reconciliation.rulebook.of(tenant).budgets]
        return [(await self.store.budget(demand.key)).spent for demand in demands]

    async def spend(self, rule: BudgetRule, amount: int, *, user: str = "") -> None:
        """Settle an attempt that the ledger has yet to write."""
        caller = Caller(principal=Principal(tenant="acme"), user_id=user, agent="")
        await self.store.spend([budget_demand(rule, caller, self.clock.wall())], amount)

    @property
    def crossed(self) -> list[float]:
        """The fractions that were told so far."""
        return [crossing.fraction for crossing in self.crossings]


@pytest.fixture
def desk() -> Desk:
    """A new one."""
    return Desk()


async def test_every_budget_starts_at_what_its_subject_has_spent_in_its_period(desk: Desk) -> None:
    """Each period is asked for once, and each kind of subject is summed on its own; nobody is told again."""
    book = Rulebook(
        {
            "acme": TenantRules(
                budgets=[rule(Per.TENANT, limit=10), OF_ALL, OF_ALL, OF_A_USER, rule(Per.AGENT, Period.DAY)]
            ),
            "other": TenantRules(budgets=[rule(Per.KEY, Period.TOTAL)]),
        }
    )
    month = [spending(10), spending(5, agent="other"), spending(7, user="u2"), spending(1000, tenant="nobody")]
    everything = [*month, spending(3, tenant="other"), spending(4, tenant="other", user="u9")]
    desk.ledger.by_period = {Period.MONTH: month, Period.DAY: [spending(2)], Period.TOTAL: everything}

    await desk.start(book)

    assert await desk.spent("u1", agent="support", key="web") == [22, 22, 22, 15, 2]
    assert await desk.spent(key="web", tenant="other") == [7]
    assert (desk.ledger.reads, desk.crossings) == (3, [])


async def test_without_its_spending_a_daemon_does_not_start(desk: Desk) -> None:
    """It would give money twice."""
    desk.ledger.is_away = True

    with pytest.raises(CannotOpenLedger, match="the disk is gone"):
        await desk.start(of_acme(OF_ALL))


async def test_losses_count_on_top_of_what_was_spent(desk: Desk) -> None:
    """What was crossed without them was told then; budgets of one subject count them once."""
    await desk.start(of_acme(OF_A_USER, replace(OF_A_USER, limit=1000)), spending(60), spending(10, "u2"))

    await desk.reconciliation.count_losses([loss(15, "u1"), loss(10, "u1"), loss(5, "u2"), loss(50, "u3")])

    assert [(each.demand.subject, each.demand.limit, each.fraction, each.spent) for each in desk.crossings] == [
        ("user:acme/u1", 100, 0.8, 85),
        ("user:acme/u3", 100, 0.5, 50),
    ]


async def test_losses_of_a_period_that_is_over_bind_nobody(desk: Desk) -> None:
    """They count in the periods that still run."""
    await desk.start(of_acme(OF_A_USER, replace(OF_A_USER, period=Period.TOTAL)))

    await desk.reconciliation.count_losses([loss(60, at=Period.MONTH.start(START) - 1)])

    assert [(each.demand.resets_at, each.spent) for each in desk.crossings] == [(None, 60)]
    assert await desk.spent("u1") == [0, 60]


@pytest.mark.parametrize(
    ("before", "after", "crossed"),
    [
        ([OF_A_USER], [replace(OF_A_USER, limit=75)], {0.8}),
        ([OF_A_USER], [replace(OF_A_USER, limit=50)], {0.8, 1.0}),
        ([OF_A_USER], [replace(OF_A_USER, limit=10, alert_at=(0.5,))], set()),
        ([OF_A_USER], [replace(OF_A_USER, limit=1000)], set()),
        ([OF_A_USER], [replace(OF_A_USER, alert_at=(0.5, 0.6))], {0.6}),
        (
            [OF_A_USER, replace(OF_A_USER, limit=1000, is_shadow=True)],
            [OF_A_USER, replace(OF_A_USER, is_shadow=True)],
            {0.5},
        ),
        ([OF_A_USER, replace(OF_A_USER, limit=1000)], [OF_A_USER, replace(OF_A_USER, limit=110)], {0.5}),
        ([OF_A_USER, replace(OF_A_USER, limit=110)], [replace(OF_A_USER, limit=110), OF_A_USER], set()),
        ([OF_A_USER], [replace(OF_A_USER, limit=110), OF_A_USER], {0.5}),
        ([OF_A_USER], [OF_A_USER], set()),
        ([OF_A_USER], [], set()),
    ],
)
async def test_a_changed_budget_crosses_what_it_had_not_crossed_before(
    desk: Desk, before: Sequence[BudgetRule], after: Sequence[BudgetRule], crossed: set[float]
) -> None:
    """Where 60 of 100 are spent. One that refuses and one that does not are two."""
    await desk.start(of_acme(*before), spending(60), spending(1, "u2"))

    await desk.reload(of_acme(*after))

    assert {(each.demand.subject, each.fraction, each.spent) for each in desk.crossings} == {
        ("user:acme/u1", fraction, 60) for fraction in crossed
    }


async def test_a_twin_that_a_reload_adds_is_told_of_and_the_other_is_not_again(desk: Desk) -> None:
    """Each budget alerts once, whichever comes first."""
    twins = [replace(OF_A_USER, limit=limit) for limit in range(101, 121)]
    await desk.start(of_acme(OF_A_USER), spending(60))

    await desk.reload(of_acme(*twins, OF_A_USER))

    assert sorted(each.demand.limit for each in desk.crossings) == [twin.limit for twin in twins]


async def test_a_budget_that_a_reload_lowers_is_told_of_once(desk: Desk) -> None:
    """Nobody may be let in to spend what crosses it; and what a start finds was told before."""
    await desk.start(of_acme(OF_ALL), spending(60))

    async with desk.kept_up():
        assert desk.crossed == []
        desk.reconciliation.use(of_acme(replace(OF_ALL, limit=70)))
        await desk.look()
        assert desk.crossed == [0.8]
        desk.reconciliation.use(of_acme(replace(OF_ALL, limit=60)))
        for _ in range(3):
            await desk.look()

    assert desk.crossed == [0.8, 1.0]


async def test_a_budget_that_is_new_counts_what_was_spent_before(desk: Desk) -> None:
    """The larger of what the ledger says and what is known here; who has spent nothing is told nothing."""
    await desk.start(of_acme(), spending(85), spending(40, "u2"), spending(10, "u3"))
    await desk.spend(OF_A_USER, 30, user="u2")
    await desk.spend(OF_A_USER, 20, user="u3")

    await desk.reload(of_acme(OF_A_USER))

    assert [await desk.spent(user) for user in ("u1", "u2", "u3", "u4")] == [[85], [40], [20], [0]]
    assert [(each.demand.subject, each.fraction) for each in desk.crossings] == [
        ("user:acme/u1", 0.5),
        ("user:acme/u1", 0.8),
    ]


async def test_new_budgets_of_one_subject_and_period_count_what_was_spent_once(desk: Desk) -> None:
    """They count the same money, a shadow too, and what is spent meanwhile."""
    await desk.start(of_acme(), spending(60))
    await desk.spend(OF_A_USER, 20, user="u1")

    await desk.reload(of_acme(OF_A_USER, replace(OF_A_USER, limit=90, is_shadow=True), replace(OF_A_USER, limit=1000)))

    assert await desk.spent("u1") == [60, 60, 60]
    crossings = [(each.demand.limit, each.fraction, each.spent) for each in desk.crossings]
    assert sorted(crossings) == [(90, 0.5, 60), (100, 0.5, 60)]


async def test_what_is_spent_while_the_ledger_is_read_is_not_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be in what was read or not: it is counted, rather twice than never."""
    await desk.start(of_acme(), spending(40))
    read = desk.ledger.spent

    async def spent(since: float, until: float | None) -> Sequence[Spending]:
        await desk.spend(OF_A_USER, 7, user="u1")
        return await read(since, until)

    monkeypatch.setattr(desk.ledger, "spent", spent)

    await desk.reload(of_acme(OF_A_USER))

    assert (desk.ledger.reads, await desk.spent("u1")) == (2, [47])


async def test_a_budget_that_stays_is_not_counted_anew(desk: Desk) -> None:
    """What its attempts hold and spend is known here before it is in the ledger."""
    await desk.start(of_acme(OF_A_USER), spending(5))
    desk.ledger.spendings = [spending(10)]

    await desk.reload(of_acme(replace(OF_A_USER, limit=70)))

    assert await desk.spent("u1") == [5]


async def test_a_reload_that_changes_no_budget_asks_nobody(desk: Desk) -> None:
    """The ledger is read for those that differ alone."""
    await desk.start(of_acme(OF_ALL), spending(60))

    await desk.reload(of_acme(OF_ALL))

    assert desk.ledger.reads == 1


async def test_a_budget_that_was_away_for_a_moment_counts_what_was_spent_meanwhile(desk: Desk) -> None:
    """Two reloads may come between two looks."""
    await desk.start(of_acme(OF_ALL), spending(60))

    async with desk.kept_up():
        desk.reconciliation.use(of_acme())
        desk.ledger.spendings = [spending(60), spending(60)]
        desk.reconciliation.use(of_acme(OF_ALL))
        await desk.look()

    assert await desk.spent() == [120]


async def test_a_budget_that_was_away_while_the_ledger_was_read_counts_what_was_spent_meanwhile(desk: Desk) -> None:
    """Two reloads may come during one look, too."""
    await desk.start(of_acme(OF_ALL), spending(60))

    async with desk.kept_up():
        desk.ledger.is_open.clear()
        desk.reconciliation.use(of_acme(OF_ALL, OF_A_USER))
        await desk.look()
        desk.reconciliation.use(of_acme(OF_A_USER))
        desk.ledger.spendings = [spending(60), spending(60)]
        desk.reconciliation.use(of_acme(OF_ALL, OF_A_USER))
        desk.ledger.is_open.set()
        for _ in range(2):
            await desk.look()

    assert await desk.spent("u1") == [120, 120]
    assert sorted((each.demand.subject, each.fraction) for each in desk.crossings) == [
        (subject, fraction) for subject in ("tenant:acme", "user:acme/u1") for fraction in (0.5, 0.8, 1.0)
    ]


async def test_another_budget_that_comes_and_changes_tells_nobody_again(desk: Desk) -> None:
    """What a budget had crossed before was told, however many reloads come between two looks."""
    await desk.start(of_acme(OF_ALL), spending(60))

    async with desk.kept_up():
        desk.reconciliation.use(of_acme(OF_ALL, replace(OF_A_USER, limit=500)))
        desk.reconciliation.use(of_acme(OF_ALL, replace(OF_A_USER, limit=700)))
        await desk.look()

    assert desk.crossings == []


async def test_what_cannot_be_read_is_said_once_and_counted_later(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A lowered budget is told of when the ledger can be read again; and that all is counted is said as well."""
    caplog.set_level("INFO")
    await desk.start(of_acme(OF_ALL), spending(60))
    desk.reconciliation.use(of_acme(replace(OF_ALL, limit=70)))
    desk.ledger.is_away = True

    async with desk.kept_up():
        for _ in range(2):
            await desk.look()
        assert desk.crossed == []
        desk.ledger.is_away = False
        for _ in range(2):
            await desk.look()

    assert desk.crossed == [0.8]
    assert said(caplog) == [
        ("some budgets do not count what was spent before", "the disk is gone"),
        ("all budgets count what was spent before", None),
    ]


async def test_a_wall_clock_that_is_put_back_finds_what_was_spent(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """In the month before the one in which the daemon started; a ledger that cannot be read is said once."""
    caplog.set_level("INFO")
    this_month = Period.MONTH.start(desk.clock.wall())
    await desk.start(of_acme(OF_ALL), spending(60))

    async with desk.kept_up():
        desk.clock.put(this_month - 9 * LOOK_EVERY)
        before = await desk.spent()
        desk.ledger.is_away = True
        for _ in range(3):
            await desk.look()
        meanwhile = await desk.spent()
        desk.ledger.is_away = False
        for _ in range(2):
            await desk.look()
        found, reads = await desk.spent(), desk.ledger.reads
        await desk.look()

    assert (before, meanwhile, found, desk.crossings) == ([0], [0], [60], [])
    assert desk.ledger.reads == reads
    assert said(caplog) == [
        ("some budgets do not count what was spent before", "the disk is gone"),
        ("all budgets count what was spent before", None),
    ]


async def test_a_wall_clock_that_is_put_back_while_a_reload_waits_finds_what_was_spent(desk: Desk) -> None:
    """What the clock said while the ledger was away is remembered, though the reload's own budget comes later."""
    next_month = Period.MONTH.end(START)
    assert next_month is not None
    await desk.start(of_acme(OF_ALL), spending(60))
    desk.ledger.is_away = True
    desk.reconciliation.use(of_acme(OF_ALL, OF_A_USER))

    async with desk.kept_up():
        desk.clock.put(next_month)
        await desk.look()
        desk.store.sweep()
        desk.clock.advance(KEPT)
        desk.store.sweep()
        desk.clock.put(START)
        forgotten = await desk.spent("u1")
        desk.ledger.is_away = False
        await desk.look()

    assert (forgotten, await desk.spent("u1")) == ([0, 0], [60, 60])
    assert {each.demand.subject for each in desk.crossings} == {"user:acme/u1"}


async def test_a_wall_clock_that_is_put_back_takes_nothing_back(desk: Desk) -> None:
    """What was settled, and has yet to be written, counts in the month all the same; the hour before was another."""
    rules = [rule(Per.TENANT, period, limit=500) for period in (Period.MONTH, Period.HOUR, Period.TOTAL)]
    hour = Period.HOUR.end(desk.clock.wall())
    assert hour is not None
    desk.clock.put(hour + 1)
    await desk.start(of_acme(*rules), spending(60))

    async with desk.kept_up():
        for each in rules:
            await desk.spend(each, 7)
        before = await desk.spent()
        desk.clock.put(hour - 2)
        await desk.look()

    assert before == [67, 67, 67]
    assert await desk.spent() == [67, 60, 67]


async def test_what_is_asked_of_the_ledger_ends_with_the_period(desk: Desk) -> None:
    """It may hold later rows, of a clock that was put back."""
    await desk.start(of_acme(rule(Per.TENANT, Period.HOUR), rule(Per.TENANT, Period.TOTAL)))
    hour = Period.HOUR.span(START)

    async with desk.kept_up():
        desk.clock.put(hour.start - 9 * LOOK_EVERY)
        await desk.look()

    assert sorted(desk.ledger.asked[:2]) == [(0.0, None), (hour.start, hour.end)]
    assert set(desk.ledger.asked[2:]) == {(hour.start - 3600, hour.start)}


async def test_a_wall_clock_that_is_put_back_within_a_period_asks_nobody(desk: Desk) -> None:
    """What was spent in the period is known."""
    await desk.start(of_acme(OF_ALL), spending(60))
    desk.ledger.spendings = [spending(60), spending(60)]

    async with desk.kept_up():
        desk.clock.put(Period.MONTH.start(desk.clock.wall()))
        await desk.look()

    assert (desk.ledger.reads, await desk.spent()) == (1, [60])


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    """What the log was told, and why."""
    return [(record.message, record.__dict__["fields"].get("reason")) for record in caplog.records]
