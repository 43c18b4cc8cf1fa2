"""Budgets start where the ledger left them, and can be looked at."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.budgets import Standing, budget_states, count_losses, rebuild, take_over
from penstockd.gauges.budget_gauge import AT_ONCE, SHOWN, BudgetGauge
from penstockd.gauges.gauges import Gauges
from penstockd.ledger import Loss, Spending
from penstockd.limits import BudgetState, StoreUnavailable
from penstockd.period import Period
from penstockd.principal import Principal
from penstockd.rules import BudgetRule, Caller, Per, Rulebook, TenantRules, budget_demand
from penstockd.stores.memory_limits import MemoryLimits

CLOCK = FakeClock()


def rule(per: Per, period: Period = Period.MONTH, limit: int = 100) -> BudgetRule:
    """A budget."""
    return BudgetRule(per=per, limit=limit, period=period, text=f"{limit} per {period.value}")


def caller(user: str = "", agent: str = "", key: str = "", tenant: str = "acme") -> Caller:
    """A caller."""
    return Caller(principal=Principal(tenant=tenant, key=key), user_id=user, agent=agent)


def spending(cost: int, user: str = "u1", agent: str = "support", key: str = "web", tenant: str = "acme") -> Spending:
    """What this combination has cost."""
    return Spending(tenant=tenant, user_id=user, agent=agent, key=key, cost_nanousd=cost)


class Books:
    """A ledger's answers: what was spent since each moment it is asked about."""

    def __init__(self, **spendings: list[Spending]) -> None:
        self._spendings = {Period[name].start(CLOCK.wall()): rows for name, rows in spendings.items()}

    async def spent(self, since: float) -> Sequence[Spending]:
        return self._spendings[since]


async def test_every_budget_starts_at_what_its_subject_has_spent_in_its_period() -> None:
    """Each period is asked for once, and each kind of subject is summed on its own."""
    book = Rulebook(
        {
            "acme": TenantRules(
                budgets=[rule(Per.TENANT), rule(Per.TENANT, limit=50), rule(Per.USER), rule(Per.AGENT, Period.DAY)]
            ),
            "other": TenantRules(budgets=[rule(Per.KEY, Period.TOTAL)]),
        }
    )
    month = [spending(10), spending(5, agent="other"), spending(7, user="u2"), spending(1000, tenant="nobody")]
    everything = [*month, spending(3, tenant="other"), spending(4, tenant="other", user="u9")]
    store = MemoryLimits(CLOCK, random=lambda: 0.0)

    await rebuild(book, store, Books(MONTH=month, DAY=[spending(2)], TOTAL=everything).spent, CLOCK.wall())

    whole = caller("u1", "support", "web")
    states = await budget_states(book, store, whole, CLOCK.wall())
    assert [(state.subject, state.spent) for state in states] == [
        ("tenant:acme", 22),
        ("tenant:acme", 22),
        ("user:acme/u1", 15),
        ("agent:acme/support", 2),
    ]
    [total] = await budget_states(book, store, caller(key="web", tenant="other"), CLOCK.wall())
    assert (total.spent, total.resets_at) == (7, None)


ALERTED = BudgetRule(per=Per.USER, limit=100, period=Period.MONTH, text="100", alert_at=(0.5, 0.8, 1.0))


def of_acme(*rules: BudgetRule) -> Rulebook:
    """These budgets of one tenant."""
    return Rulebook({"acme": TenantRules(budgets=rules)})


def loss(cost: int, user: str, *, at: float = CLOCK.wall()) -> Loss:
    """An attempt of a daemon that died."""
    return Loss(tenant="acme", user_id=user, agent="support", key="web", cost_nanousd=cost, at=at)


async def test_losses_count_on_top_of_what_was_spent() -> None:
    """What was crossed without them was told then; budgets of one subject count them once."""
    book, store = of_acme(ALERTED, replace(ALERTED, limit=1000)), MemoryLimits(CLOCK, random=lambda: 0.0)
    await rebuild(book, store, Books(MONTH=[spending(60), spending(10, "u2")]).spent, CLOCK.wall())

    losses = [loss(15, "u1"), loss(10, "u1"), loss(5, "u2"), loss(50, "u3")]
    crossings = await count_losses(book, store, losses, CLOCK.wall())

    assert [(each.demand.subject, each.demand.limit, each.fraction, each.spent) for each in crossings] == [
        ("user:acme/u1", 100, 0.8, 85),
        ("user:acme/u3", 100, 0.5, 50),
    ]


async def test_losses_of_a_period_that_is_over_bind_nobody() -> None:
    """They count in the periods that still run."""
    book = of_acme(ALERTED, replace(ALERTED, period=Period.TOTAL))
    store = MemoryLimits(CLOCK, random=lambda: 0.0)
    last_month = Period.MONTH.start(CLOCK.wall()) - 1

    crossings = await count_losses(book, store, [loss(60, "u1", at=last_month)], CLOCK.wall())

    assert [(each.demand.resets_at, each.spent) for each in crossings] == [(None, 60)]


@pytest.mark.parametrize(
    ("before", "after", "crossed"),
    [
        ([ALERTED], [replace(ALERTED, limit=75)], {0.8}),
        ([ALERTED], [replace(ALERTED, limit=50)], {0.8, 1.0}),
        ([ALERTED], [replace(ALERTED, limit=10, alert_at=(0.5,))], set()),
        ([ALERTED], [replace(ALERTED, limit=1000)], set()),
        ([ALERTED], [replace(ALERTED, alert_at=(0.5, 0.6))], {0.6}),
        ([ALERTED, replace(ALERTED, limit=1000, is_shadow=True)], [ALERTED, replace(ALERTED, is_shadow=True)], {0.5}),
        ([ALERTED], [ALERTED], set()),
        ([ALERTED], [], set()),
    ],
)
async def test_a_changed_budget_crosses_what_it_had_not_crossed_before(
    before: Sequence[BudgetRule], after: Sequence[BudgetRule], crossed: set[float]
) -> None:
    """Where 60 of 100 are spent. One that refuses and one that does not are two."""
    books, store = Books(MONTH=[spending(60), spending(1, "u2")]), MemoryLimits(CLOCK, random=lambda: 0.0)
    await rebuild(of_acme(*before), store, books.spent, CLOCK.wall())

    crossings = await take_over(of_acme(*before), of_acme(*after), store, books.spent, CLOCK.wall())

    assert {(each.demand.subject, each.fraction, each.spent) for each in crossings} == {
        ("user:acme/u1", fraction, 60) for fraction in crossed
    }


async def test_a_reload_that_changes_no_budget_asks_the_ledger_nothing() -> None:
    """It may be large."""
    store = MemoryLimits(CLOCK, random=lambda: 0.0)

    assert await take_over(of_acme(ALERTED), of_acme(ALERTED), store, Books().spent, CLOCK.wall()) == []


async def test_a_budget_that_a_reload_adds_counts_what_was_spent_before_it() -> None:
    """It is often added to stop somebody. What was spent since the reload is in the ledger as well."""
    books, store = Books(MONTH=[spending(85), spending(40, "u2")]), MemoryLimits(CLOCK, random=lambda: 0.0)
    added = of_acme(ALERTED)
    demand = budget_demand(ALERTED, "user:acme/u2", 30, CLOCK.wall())
    await store.hold("h", [demand])
    await store.settle("h", {demand.key: 30})

    crossings = await take_over(Rulebook({}), added, store, books.spent, CLOCK.wall())

    states = [await budget_states(added, store, caller(user), CLOCK.wall()) for user in ("u1", "u2", "u3")]
    assert [state.spent for [state] in states] == [85, 40, 0]
    assert [(each.demand.subject, each.fraction) for each in crossings] == [
        ("user:acme/u1", 0.5),
        ("user:acme/u1", 0.8),
    ]


async def test_what_is_spent_while_the_ledger_is_read_is_not_lost() -> None:
    """It may be in what was read or not: it is counted, rather twice than never."""
    store, books = MemoryLimits(CLOCK, random=lambda: 0.0), Books(MONTH=[spending(40)])
    demand = budget_demand(ALERTED, "user:acme/u1", 7, CLOCK.wall())
    reads = 0

    async def spent(since: float) -> Sequence[Spending]:
        nonlocal reads
        reads += 1
        await store.hold(f"h{reads}", [demand])
        await store.settle(f"h{reads}", {demand.key: 7})
        return await books.spent(since)

    await take_over(Rulebook({}), of_acme(ALERTED), store, spent, CLOCK.wall())

    [state] = await budget_states(of_acme(ALERTED), store, caller("u1"), CLOCK.wall())
    assert state.spent == 47


async def test_a_budget_that_stays_is_not_counted_anew() -> None:
    """What its attempts hold and spend is known here before it is in the ledger."""
    books, store = Books(MONTH=[spending(10)]), MemoryLimits(CLOCK, random=lambda: 0.0)
    await rebuild(of_acme(ALERTED), store, Books(MONTH=[spending(5)]).spent, CLOCK.wall())

    await take_over(of_acme(ALERTED), of_acme(replace(ALERTED, limit=70)), store, books.spent, CLOCK.wall())

    [state] = await budget_states(of_acme(ALERTED), store, caller("u1"), CLOCK.wall())
    assert state.spent == 5


async def test_budgets_of_subjects_that_are_not_named_are_left_out() -> None:
    """Who asks for a tenant is not told of the users without a name."""
    book = Rulebook({"acme": TenantRules(budgets=[rule(per, limit=number) for number, per in enumerate(Per, 1)])})
    store = MemoryLimits(CLOCK, random=lambda: 0.0)

    subjects = {
        who: [state.subject for state in await budget_states(book, store, who, CLOCK.wall())]
        for who in (caller(), caller(user="u1"), caller(agent="a"), caller(key="web"), caller(tenant="nobody"))
    }

    assert list(subjects.values()) == [
        ["tenant:acme"],
        ["tenant:acme", "user:acme/u1"],
        ["tenant:acme", "agent:acme/a"],
        ["tenant:acme", "key:acme/web"],
        [],
    ]


async def test_a_standing_tells_what_is_spent_and_held_until_when() -> None:
    """In the rule's own words."""
    book = Rulebook({"acme": TenantRules(budgets=[rule(Per.TENANT, Period.HOUR)])})
    store = MemoryLimits(CLOCK, random=lambda: 0.0)
    for hold_id, cost in (("spent", 5), ("held", 7)):
        await store.hold(hold_id, book.attempt(caller(), tokens=0, cost_nanousd=cost, now=CLOCK.wall()))
    [demand] = book.attempt(caller(), tokens=0, cost_nanousd=0, now=CLOCK.wall())
    await store.settle("spent", {demand.key: 5})

    [standing] = await budget_states(book, store, caller(), CLOCK.wall())

    assert standing == Standing(
        subject="tenant:acme",
        rule="100 per hour",
        limit=100,
        spent=5,
        held=7,
        resets_at=Period.HOUR.end(CLOCK.wall()),
    )


class Fickle(MemoryLimits):
    """A store that can be out of reach."""

    is_away = False

    async def budget(self, key: str) -> BudgetState:
        if self.is_away:
            raise StoreUnavailable
        return await super().budget(key)


async def test_the_gauge_shows_the_tenants_budgets_as_last_seen() -> None:
    """Nothing of users; and while the store is away, what was known before."""
    book = Rulebook({"acme": TenantRules(budgets=[rule(Per.TENANT), rule(Per.USER)]), "free": TenantRules()})
    store, telescope = Fickle(CLOCK, random=lambda: 0.0), Telescope()
    gauge = BudgetGauge(store, held=lambda: store.held_nanousd, clock=CLOCK, gauges=Gauges(telescope.meter))
    assert telescope.points("penstock.budget.fraction") == []
    await store.hold("h", book.attempt(caller("u1"), tokens=0, cost_nanousd=25, now=CLOCK.wall()))

    await gauge.refresh(book)
    store.is_away = True
    await gauge.refresh(book)

    [(attributes, value)] = telescope.points("penstock.budget.fraction")
    assert attributes == {
        "penstock.tenant": "acme",
        "penstock.rule": "100 per month",
        "penstock.rule.per": "tenant",
        "penstock.rule.shadow": "false",
    }
    assert value == 0.25
    assert telescope.points("penstock.budget.held") == [({}, 50 / 1e9)]


async def test_the_gauge_tells_shadows_apart() -> None:
    """They refuse nothing, and nobody need be woken."""
    shadow = replace(rule(Per.TENANT), is_shadow=True)
    store, telescope = MemoryLimits(CLOCK, random=lambda: 0.0), Telescope()
    gauge = BudgetGauge(store, held=lambda: store.held_nanousd, clock=CLOCK, gauges=Gauges(telescope.meter))

    await gauge.refresh(Rulebook({"acme": TenantRules(budgets=[shadow])}))

    [(attributes, _)] = telescope.points("penstock.budget.fraction")
    assert attributes["penstock.rule.shadow"] == "true"
    assert [standing.is_shadow for standing in gauge.fullest] == [True]


async def test_the_gauge_shows_the_fullest_of_many_budgets() -> None:
    """Ten thousand tenants make a few series, and no look at them takes long."""
    book = Rulebook({f"t{number}": TenantRules(budgets=[rule(Per.TENANT)]) for number in range(10_000)})
    store, telescope = MemoryLimits(CLOCK, random=lambda: 0.0), Telescope()
    gauge = BudgetGauge(store, held=lambda: store.held_nanousd, clock=CLOCK, gauges=Gauges(telescope.meter))
    for number in range(100):
        demand = budget_demand(rule(Per.TENANT), f"tenant:t{number * 100}", number, CLOCK.wall())
        await store.hold(f"h{number}", [demand])

    for _ in range(10_000 // AT_ONCE):
        await gauge.refresh(book)

    points = telescope.points("penstock.budget.fraction")
    assert len(points) == SHOWN
    assert {value for _, value in points} == {number / 100 for number in range(50, 100)}


async def test_the_gauge_forgets_a_tenant_that_is_gone() -> None:
    """After a reload, as soon as it has come round."""
    store, telescope = MemoryLimits(CLOCK, random=lambda: 0.0), Telescope()
    gauge = BudgetGauge(store, held=lambda: store.held_nanousd, clock=CLOCK, gauges=Gauges(telescope.meter))
    await gauge.refresh(Rulebook({name: TenantRules(budgets=[rule(Per.TENANT)]) for name in ("acme", "gone")}))

    await gauge.refresh(Rulebook({"acme": TenantRules(budgets=[rule(Per.TENANT)])}))

    assert [labels["penstock.tenant"] for labels, _ in telescope.points("penstock.budget.fraction")] == ["acme"]
