"""The store in memory stays small, and nothing that was held is ever lost in it."""

import asyncio
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import pytest

from fakes.clock import FakeClock
from fakes.demands import ONE, USD, budget, lease, rate
from penstockd.interceptors.accounting.settlement import Settlements
from penstockd.limits import NOTHING_USED, Amounts, BudgetState
from penstockd.logs.log import Log
from penstockd.stores.idle_table import SMALL, IdleTable
from penstockd.stores.memory_budgets import KEPT
from penstockd.stores.memory_limits import LONGEST_HOLD, REMEMBERED, MemoryLimits

SOAK = os.environ.get("PENSTOCK_SOAK") == "1"
USERS = 1_000_000 if SOAK else 20_000


@pytest.fixture
def clock() -> FakeClock:
    """A clock of the test's own."""
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryLimits:
    """A store on that clock."""
    return MemoryLimits(clock, random=lambda: 0.0)


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Tell by how many bytes Python's memory has grown in the block."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.soak
@pytest.mark.timeout(900 if SOAK else 60)
async def test_a_million_users_leave_nothing_behind(clock: FakeClock, store: MemoryLimits) -> None:
    """Once they are idle, a few sweeps later their memory is free again."""
    resets_at, of_each = clock.wall() + 3600, Amounts(of_rates=1, nanousd=2)
    with traced() as growth:
        for user in range(USERS):
            money = budget(key=f"budget:{user}", resets_at=resets_at)
            await store.hold(f"h{user}", [rate(key=f"rate:{user}"), lease(8, key=f"lease:{user}"), money], of_each)
            await store.settle(f"h{user}", Amounts(of_rates=1, nanousd=user % 2))
        full = growth()

        for seconds in (3600, KEPT):
            clock.advance(seconds)
            for _ in range(3 * USERS // 10_000 + 1):
                store.sweep()

        assert full > 200 * USERS
        assert growth() < 200 * 2 * REMEMBERED
    assert repr(store) == "<MemoryLimits 0 rates, 0 leases, 0 budgets, 0 holds>"


async def test_users_who_come_and_go_are_forgotten_without_a_sweep(clock: FakeClock, store: MemoryLimits) -> None:
    """Each new key looks at two others, so that a busy store does not hold all of the past."""
    for user in range(10_000):
        clock.advance(0.01)
        await store.hold(f"h{user}", [rate(key=f"rate:{user}")], ONE)
        await store.settle(f"h{user}", Amounts(of_rates=1))

    assert int(repr(store).split()[1]) <= SMALL


async def test_a_sweep_keeps_what_is_in_use(clock: FakeClock, store: MemoryLimits) -> None:
    """Half full buckets, money held or spent in a running period, places taken."""
    resets_at = clock.wall() + 3600
    await store.hold("spent", [rate(), budget(resets_at=resets_at)], Amounts(of_rates=9, nanousd=USD))
    await store.settle("spent", Amounts(of_rates=9, nanousd=USD))
    await store.hold("held", [lease(), budget(key="other", resets_at=clock.wall() + 1)], ONE)
    clock.advance(5)

    store.sweep()

    assert repr(store) == "<MemoryLimits 1 rates, 1 leases, 2 budgets, 1 holds>"
    assert await store.budget("budget") == BudgetState(spent=USD, held=0)
    assert await store.budget("other") == BudgetState(spent=0, held=USD)


async def test_a_budget_outlives_a_wall_clock_that_was_wrong(clock: FakeClock, store: MemoryLimits) -> None:
    """For an hour of true time: put forward by a year, and back, it forgets nothing; then what is past is forgotten."""
    now, ends = clock.wall(), clock.wall() + 3600
    await store.hold("h", [budget(resets_at=ends)], Amounts(nanousd=USD))
    await store.settle("h", Amounts(nanousd=USD))

    for wall in (now + 366 * 86400, now):
        clock.put(wall)
        store.sweep()
        clock.advance(KEPT - 1)
        store.sweep()
    assert await store.budget("budget") == BudgetState(spent=USD, held=0)

    clock.put(ends)
    for _ in range(2):
        store.sweep()
        clock.advance(KEPT)
    assert await store.budget("budget") == BudgetState(spent=0, held=0)


async def test_a_hold_that_is_never_settled_is_charged_what_it_held(clock: FakeClock, store: MemoryLimits) -> None:
    """A day later; its place is free again too."""
    await store.hold("lost", [rate(), lease(), budget()], ONE)
    clock.advance(LONGEST_HOLD - 1)
    store.sweep()
    assert await store.budget("budget") == BudgetState(spent=0, held=USD)

    clock.advance(1)
    store.sweep()

    assert await store.budget("budget") == BudgetState(spent=USD, held=0)
    assert repr(store) == "<MemoryLimits 0 rates, 0 leases, 1 budgets, 0 holds>"


def test_new_keys_make_room_for_themselves() -> None:
    """Keys that are idle at once do not add up."""
    values: IdleTable[int] = IdleTable(lambda value: value >= 0)

    for value in range(10_000):
        values.pay()
        values.put(str(value), value)

    assert len(values) <= SMALL


async def test_lost_holds_of_one_key_end_one_by_one(clock: FakeClock, store: MemoryLimits) -> None:
    """Their places may have been cleared before."""
    await store.hold("a", [lease(2, ttl=1)], ONE)
    await store.hold("b", [lease(2, ttl=1)], ONE)
    await store.hold("full", [rate()], Amounts(of_rates=10))
    clock.advance(2)
    assert (
        await store.hold("c", [lease(2), rate(key="rate", per_second=0.001)], Amounts(of_rates=10))
    ).denial is not None

    await store.settle("a", NOTHING_USED)
    await store.settle("b", NOTHING_USED)

    assert repr(store) == "<MemoryLimits 1 rates, 0 leases, 0 budgets, 1 holds>"


async def test_a_hold_that_finds_the_table_made_anew_holds_what_it_takes(clock: FakeClock, store: MemoryLimits) -> None:
    """Two budgets may count the same money: what is held of it is in the account that settles it."""
    resets_at = clock.wall() + 10 * KEPT
    for user in range(9 * SMALL):
        await store.hold(f"h{user}", [budget(key=f"budget:{user}", resets_at=resets_at)], Amounts(nanousd=2))
    for user in range(SMALL + 1, 9 * SMALL):
        await store.settle(f"h{user}", NOTHING_USED)
    store.sweep()
    for user in range(SMALL + 1):
        await store.settle(f"h{user}", NOTHING_USED)
    twice = [budget(1000, key="new"), budget(500, key="new", is_shadow=True)]

    await store.hold("twice", twice, Amounts(nanousd=100))

    assert (await store.budget("new"), store.held_nanousd) == (BudgetState(spent=0, held=100), 100)
    await store.settle("twice", Amounts(nanousd=70))
    assert (await store.budget("new"), store.held_nanousd) == (BudgetState(spent=70, held=0), 0)


def test_a_table_that_was_large_gives_its_room_back() -> None:
    """And goes on with those that are left."""
    busy_up_to = 20_000
    values: IdleTable[int] = IdleTable(lambda value: value > busy_up_to)
    with traced() as growth:
        for value in range(20_000):
            values.put(str(value), value)
        large = growth()

        busy_up_to = 10
        values.sweep(20_000)

        assert growth() < large / 20
    assert len(values) == 11
    assert (values.get("10"), values.get("11")) == (10, None)


async def test_spent_and_held_never_exceed_a_budget(store: MemoryLimits) -> None:
    """In 200 rounds of 100 callers, some of them cancelled at any moment; in the end nothing is held."""
    random = Random(4)
    crowds = [Crowd(store, key=f"budget:{number}", random=random) for number in range(200)]

    for crowd in crowds:
        await crowd.spend()

        assert await store.budget(crowd.key) == BudgetState(spent=crowd.spent, held=0)
        assert crowd.denied > 0
    assert sum(crowd.cancelled for crowd in crowds) > 200


class Crowd:
    """A hundred callers of one budget, which is looked at after each of their steps."""

    LIMIT = 100

    def __init__(self, store: MemoryLimits, *, key: str, random: Random) -> None:
        self.key = key
        self.spent = self.denied = self.cancelled = 0
        self._store = store
        self._random = random
        self._settlements = Settlements(Log("test"))

    async def spend(self) -> None:
        """Let them all call at once, and cancel many of them at some moment."""
        callers = [asyncio.ensure_future(self._call(f"{self.key}/{number}")) for number in range(100)]
        for caller in self._random.sample(callers, 40):
            caller.cancel()
            await asyncio.sleep(0)
        endings = await asyncio.gather(*callers, return_exceptions=True)
        await self._settlements.idle()
        assert {type(ending) for ending in endings} <= {type(None), asyncio.CancelledError}

    async def _call(self, hold_id: str) -> None:
        estimate = self._random.randint(1, 9)
        verdict = await self._store.hold(hold_id, [budget(self.LIMIT, key=self.key)], Amounts(nanousd=estimate))
        await self._look()
        if verdict.denial is not None:
            self.denied += 1
            return
        cost = 0
        try:
            for _ in range(self._random.randrange(12)):
                cost = self._random.randint(cost, estimate)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            await self._settlements.run(self._settle(hold_id, cost))

    async def _settle(self, hold_id: str, cost: int) -> None:
        await asyncio.sleep(0)  # as if the store were far away
        await self._store.settle(hold_id, Amounts(nanousd=cost))
        self.spent += cost
        await self._look()

    async def _look(self) -> None:
        state = await self._store.budget(self.key)
        assert 0 <= state.held <= state.held + state.spent <= self.LIMIT


@pytest.mark.parametrize("others", [0, REMEMBERED - 1, REMEMBERED + 1])
async def test_a_hold_that_was_settled_takes_nothing_again(store: MemoryLimits, others: int) -> None:
    """Nor once many others were settled since: whoever asks again has waited long, and was answered."""
    money = [budget(key="money")]
    await store.hold("h", money, Amounts(nanousd=5))
    await store.settle("h", Amounts(nanousd=3))
    for number in range(others):
        await store.settle(f"other-{number}", None)

    await store.hold("h", money, Amounts(nanousd=5))

    assert await store.budget("money") == BudgetState(spent=3, held=0)
