"""How budgets stand, for whoever looks."""

from msgspec.structs import replace

from fakes.clock import FakeClock
from penstockd.budgets import AT_ONCE, SHOWN, FullestBudgets, Standing, budget_states
from penstockd.limits import Amounts, BudgetState, StoreUnavailable
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


async def test_budgets_of_subjects_that_are_not_named_are_left_out() -> None:
    """Who asks for a tenant is not told of the users without a name."""
    book = Rulebook({"acme": TenantRules(budgets=[rule(per, limit=number) for number, per in enumerate(Per, 1)])})
    store = MemoryLimits(CLOCK, random=lambda: 0.0)

    subjects = {
        who: [standing.demand.subject for standing in await budget_states(book, store, who, CLOCK.wall())]
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
        await store.hold(hold_id, book.attempt(caller(), now=CLOCK.wall()), Amounts(nanousd=cost))
    demand = budget_demand(rule(Per.TENANT, Period.HOUR), caller(), CLOCK.wall())
    await store.settle("spent", Amounts(nanousd=5))

    [standing] = await budget_states(book, store, caller(), CLOCK.wall())

    assert standing == Standing(demand=demand, state=BudgetState(spent=5, held=7))
    assert (demand.rule, demand.limit, demand.resets_at) == ("100 per hour", 100, Period.HOUR.end(CLOCK.wall()))
    assert standing.fraction == 0.12


class Fickle(MemoryLimits):
    """A store that can be out of reach."""

    is_away = False

    async def budget(self, key: str) -> BudgetState:
        if self.is_away:
            raise StoreUnavailable
        return await super().budget(key)


async def test_the_tenants_budgets_stay_as_last_seen_while_the_store_is_away() -> None:
    """Nothing of users; and nothing before the first look."""
    book = Rulebook({"acme": TenantRules(budgets=[rule(Per.TENANT), rule(Per.USER)]), "free": TenantRules()})
    store = Fickle(CLOCK, random=lambda: 0.0)
    budgets = FullestBudgets(store, CLOCK)
    before = budgets.fullest
    await store.hold("h", book.attempt(caller("u1"), now=CLOCK.wall()), Amounts(nanousd=25))

    await budgets.refresh(book)
    store.is_away = True
    await budgets.refresh(book)

    assert before == []
    assert [(standing.demand.subject, standing.fraction) for standing in budgets.fullest] == [("tenant:acme", 0.25)]


async def test_the_fullest_of_many_budgets_are_found() -> None:
    """Ten thousand tenants are looked at in turn, and no look takes long."""
    book = Rulebook({f"t{number}": TenantRules(budgets=[rule(Per.TENANT)]) for number in range(10_000)})
    store = MemoryLimits(CLOCK, random=lambda: 0.0)
    budgets = FullestBudgets(store, CLOCK)
    for number in range(100):
        demand = budget_demand(rule(Per.TENANT), caller(tenant=f"t{number * 100}"), CLOCK.wall())
        await store.hold(f"h{number}", [demand], Amounts(nanousd=number))

    for _ in range(10_000 // AT_ONCE):
        await budgets.refresh(book)

    assert [standing.fraction for standing in budgets.fullest] == [number / 100 for number in range(99, 99 - SHOWN, -1)]


async def test_a_tenant_that_is_gone_is_forgotten() -> None:
    """After a reload, as soon as it has come round."""
    budgets = FullestBudgets(MemoryLimits(CLOCK, random=lambda: 0.0), CLOCK)
    await budgets.refresh(Rulebook({name: TenantRules(budgets=[rule(Per.TENANT)]) for name in ("acme", "gone")}))

    await budgets.refresh(Rulebook({"acme": TenantRules(budgets=[replace(rule(Per.TENANT), is_shadow=True)])}))

    assert [(each.demand.subject, each.demand.is_shadow) for each in budgets.fullest] == [("tenant:acme", True)]
