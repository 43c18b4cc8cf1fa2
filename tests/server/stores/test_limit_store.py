"""What every store of limits and budgets must do, wherever it keeps them."""

import math
import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.demands import ONE, USD, budget, lease, rate
from fakes.limit_stores import STORES, Bench
from penstockd.limits import NOTHING_USED, Amounts, BudgetState, Demand, RateState, Verdict

SOAK = os.environ.get("PENSTOCK_SOAK") == "1"
every_store = pytest.mark.parametrize("kind", STORES)


def state(verdict: Verdict) -> RateState:
    """How the tightest rate stands."""
    assert verdict.tightest is not None
    return verdict.tightest


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each store in turn."""
    return STORES[request.param]()


def denied(verdict: Verdict) -> tuple[str, float]:
    """The key that was denied, and for how long."""
    assert verdict.denial is not None
    return verdict.denial.demand.key, verdict.denial.retry_after


async def test_what_is_denied_leaves_a_rate_as_it_was(bench: Bench) -> None:
    """Be it full or not; here it is a budget that denies."""
    full, used, poor = rate(key="full"), rate(key="used"), budget(1 * USD)
    await bench.store.hold("before", [used], Amounts(of_rates=4))

    for demand, left in ((full, 10), (used, 6)):
        refused = await bench.store.hold(demand.key, [demand, poor], Amounts(of_rates=3, nanousd=2 * USD))

        assert denied(refused)[0] == poor.key
        assert state(refused).remaining == pytest.approx(left, abs=0.01)


async def test_what_is_told_of_a_rate_is_no_rounding_error_short(bench: Bench) -> None:
    """Whatever the time: one of two is left, and not nought; the other is back in ten minutes, not a second later."""
    random = Random(7)
    for number in range(300):
        bench.advance(random.uniform(1000.0, 5000.0))

        demand = rate(per_second=6 / 3600, burst=2, key=f"rate:{number}")
        told = state(await bench.store.hold(f"h{number}", [demand], ONE))

        assert (int(told.remaining), math.ceil(told.reset_after)) == (1, 600)


async def test_of_rates_with_as_much_left_the_slowest_is_told(bench: Bench) -> None:
    """As it is the last to be full again; rounding errors do not choose."""
    random = Random(7)
    for number in range(300):
        bench.advance(random.uniform(1000.0, 5000.0))
        fast, slow = (rate(per_second=each, burst=100, key=f"{each}:{number}") for each in (10.0, 100 / 60))

        for order in (0, 1):
            demands = [fast, slow] if order else [slow, fast]
            told = state(await bench.store.hold(f"h{number}/{order}", demands, ONE))
            assert told.reset_after == pytest.approx((order + 1) * 0.6, abs=0.01)


async def test_a_rate_tells_the_exact_delay_and_what_is_left(bench: Bench) -> None:
    """After the burst, the rate; who waits exactly as long as told is admitted."""
    store, demand = bench.store, rate(burst=3)

    verdicts = [await store.hold(f"h{number}", [demand], ONE) for number in range(4)]

    left = [state(verdict).remaining for verdict in verdicts]
    assert left == pytest.approx([2, 1, 0, 0], abs=0.01)
    assert state(verdicts[0]).limit == 3
    assert state(verdicts[2]).reset_after == pytest.approx(3, abs=0.01)
    key, retry_after = denied(verdicts[3])
    assert key == "rate"
    assert retry_after == pytest.approx(1, abs=0.01)
    bench.advance(retry_after)
    assert (await store.hold("h4", [demand], ONE)).denial is None


async def test_more_than_the_burst_never_fits(bench: Bench) -> None:
    """Waiting would not help, and the caller should know."""
    verdict = await bench.store.hold("h", [rate(burst=10)], Amounts(of_rates=11))

    assert denied(verdict) == ("rate", math.inf)
    assert verdict.denial is not None
    assert verdict.denial.asked == Amounts(of_rates=11)


@pytest.mark.parametrize(("spent", "left"), [(0, 3), (2, 1), (3, 0), (9, -6)])
async def test_a_budget_tells_what_is_left_of_it(bench: Bench, spent: int, left: int) -> None:
    """Of what is neither spent nor held; a limit that was lowered may be overspent."""
    await bench.store.set_spent("budget", spent * USD, None)
    await bench.store.hold("before", [budget(100 * USD)], ONE)

    verdict = await bench.store.hold("h", [budget(4 * USD)], Amounts(nanousd=5 * USD))

    assert verdict.denial is not None
    assert (verdict.denial.asked, verdict.denial.left) == (Amounts(nanousd=5 * USD), left * USD)


async def test_where_one_demand_is_denied_no_other_is_debited(bench: Bench) -> None:
    """A full limit takes nothing of those that have room."""
    store = bench.store
    full = rate(key="full", burst=1)
    roomy: list[Demand] = [rate(key="roomy", burst=5), lease(key="places"), budget(key="money")]
    await store.hold("first", [full], ONE)

    for number in range(20):
        verdict = await store.hold(f"h{number}", [*roomy, full] if number % 2 else [full, *roomy], ONE)
        assert denied(verdict)[0] == "full"

    assert state(await store.hold("then", roomy, ONE)).remaining == pytest.approx(4, abs=0.01)
    assert await store.budget("money") == BudgetState(spent=0, held=USD)


async def test_of_several_denials_the_longest_is_told(bench: Bench) -> None:
    """Whoever comes back then meets none of them."""
    store = bench.store
    demands: list[Demand] = [rate(key="soon", burst=1), rate(key="late", burst=1, per_second=0.1), lease()]
    await store.hold("first", demands, ONE)

    key, retry_after = denied(await store.hold("second", demands, ONE))

    assert key == "late"
    assert retry_after == pytest.approx(10, abs=0.1)


async def test_what_was_not_used_is_given_back(bench: Bench) -> None:
    """And what was used beyond what was held is debited all the same."""
    store = bench.store
    await store.hold("thrifty", [rate(per_second=0.01)], Amounts(of_rates=10))
    await store.settle("thrifty", Amounts(of_rates=4))
    await store.hold("given back", [rate(key="shed", per_second=0.01)], Amounts(of_rates=10))
    await store.settle("given back", NOTHING_USED)
    await store.hold("lavish", [rate(key="over", per_second=0.01)], Amounts(of_rates=2))
    await store.settle("lavish", Amounts(of_rates=13))

    thrifty = await store.hold("a", [rate(per_second=0.01)], Amounts(of_rates=6))
    shed = await store.hold("b", [rate(key="shed", per_second=0.01)], Amounts(of_rates=10))
    over = await store.hold("c", [rate(key="over", per_second=0.01)], Amounts(of_rates=1))

    assert (thrifty.denial, shed.denial) == (None, None)
    assert denied(over)[1] == pytest.approx(400, abs=1)


async def test_what_time_has_given_back_is_not_given_back_again(bench: Bench) -> None:
    """Else those who held a burst each, one after the other, would have them all in one moment when they end."""
    store, holds = bench.store, [f"h{number}" for number in range(5)]
    for hold in holds:
        assert (await store.hold(hold, [rate()], Amounts(of_rates=10))).denial is None
        bench.advance(10)
    await store.hold("now", [rate()], Amounts(of_rates=10))
    for hold in holds:
        await store.settle(hold, Amounts(of_rates=0))

    assert denied(await store.hold("next", [rate()], Amounts(of_rates=10)))[1] == pytest.approx(10, abs=0.1)


async def test_what_another_gave_back_in_the_same_moment_is_not_given_back_again(bench: Bench) -> None:
    """It filled the bucket, and whoever took all of that has it."""
    store = bench.store
    await store.hold("slow", [rate()], Amounts(of_rates=5))
    bench.advance(1)
    await store.hold("early", [rate()], Amounts(of_rates=1))
    await store.settle("slow", NOTHING_USED)
    assert (await store.hold("all", [rate()], Amounts(of_rates=10))).denial is None

    await store.settle("early", NOTHING_USED)

    assert denied(await store.hold("next", [rate()], ONE))[1] == pytest.approx(1, abs=0.1)


async def test_what_was_not_used_is_given_back_however_long_it_was_held(bench: Bench) -> None:
    """Others have taken what came in meanwhile, so that it was never full: all in all, ten and five were to be had."""
    store = bench.store
    await store.hold("slow", [rate()], Amounts(of_rates=10))
    bench.advance(5)
    await store.hold("other", [rate()], Amounts(of_rates=5))
    await store.settle("slow", Amounts(of_rates=0))

    assert (await store.hold("next", [rate()], Amounts(of_rates=10))).denial is None
    assert denied(await store.hold("one too many", [rate()], Amounts(of_rates=1)))[1] == pytest.approx(1, abs=0.1)


async def test_a_bucket_holds_no_more_than_its_burst_whatever_is_given_back(bench: Bench) -> None:
    """It was full again before the hold ended."""
    await bench.store.hold("slow", [rate()], Amounts(of_rates=10))
    bench.advance(60)
    await bench.store.settle("slow", Amounts(of_rates=1))

    verdict = await bench.store.hold("next", [rate()], Amounts(of_rates=1))

    assert state(verdict).remaining == pytest.approx(9, abs=0.1)


async def test_what_was_used_beyond_a_hold_is_debited_from_a_bucket_that_was_full_again(bench: Bench) -> None:
    """Whoever estimates too little does not get the difference for nothing by being slow."""
    await bench.store.hold("slow", [rate()], Amounts(of_rates=1))
    bench.advance(60)
    await bench.store.settle("slow", Amounts(of_rates=10))

    verdict = await bench.store.hold("next", [rate()], Amounts(of_rates=1))

    assert state(verdict).remaining == pytest.approx(0, abs=0.1)


async def test_places_are_given_back_when_holds_end(bench: Bench) -> None:
    """Who finds none is told to come back in 100 to 500 ms."""
    store, demand = bench.store, lease(2)
    await store.hold("a", [demand], ONE)
    await store.hold("b", [demand], ONE)

    key, retry_after = denied(await store.hold("c", [demand], ONE))
    await store.settle("a", NOTHING_USED)

    assert key == "lease"
    assert 0.1 <= retry_after <= 0.5
    assert (await store.hold("d", [demand], ONE)).denial is None
    assert (await store.hold("e", [demand], ONE)).denial is not None


async def test_a_place_that_nobody_gives_back_is_free_again_after_its_time(bench: Bench) -> None:
    """Whoever held it is gone, and if it comes to settle after all, it takes nobody's place."""
    store, demand = bench.store, lease(1, ttl=5)
    await store.hold("lost", [demand], ONE)
    bench.advance(5.01)

    assert (await store.hold("next", [demand], ONE)).denial is None
    await store.settle("lost", NOTHING_USED)
    assert (await store.hold("third", [demand], ONE)).denial is not None


async def test_holding_twice_by_one_id_takes_once(bench: Bench) -> None:
    """A repeat that the first answer crossed on its way gets the same answer."""
    store = bench.store
    demands: list[Demand] = [rate(), lease(), budget()]
    asked = Amounts(of_rates=4, nanousd=USD)

    first = await store.hold("h", demands, asked)
    again = await store.hold("h", demands, asked)

    assert again.denial is None
    assert state(again).remaining == pytest.approx(state(first).remaining, abs=0.01)
    assert await store.budget("budget") == BudgetState(spent=0, held=USD)
    assert (await store.hold("other", [rate()], Amounts(of_rates=6))).denial is None


async def test_settling_twice_counts_once_and_ends_the_id(bench: Bench) -> None:
    """A hold that arrives after its own end takes nothing any more."""
    store = bench.store
    demands: list[Demand] = [rate(), lease(), budget(alert_at=(0.05,))]
    asked = Amounts(of_rates=4, nanousd=USD)
    await store.hold("h", demands, asked)

    crossings = [await store.settle("h", asked) for _ in range(2)]
    await store.hold("h", demands, asked)

    assert [len(found) for found in crossings] == [1, 0]
    assert await store.budget("budget") == BudgetState(spent=USD, held=0)
    assert (await store.hold("other", [rate(), lease()], Amounts(of_rates=6))).denial is None
    assert await store.settle("never held", Amounts(nanousd=USD)) == []


async def test_money_for_ten_calls_admits_exactly_ten(bench: Bench) -> None:
    """Held or spent, where the estimate is the cost."""
    store, demand = bench.store, budget(10 * USD)

    admitted = 0
    for number in range(100):
        if (await store.hold(f"h{number}", [demand], ONE)).denial is None:
            admitted += 1
            if number % 2:
                await store.settle(f"h{number}", Amounts(nanousd=USD))

    assert admitted == 10
    assert await store.budget("budget") == BudgetState(spent=5 * USD, held=5 * USD)


async def test_what_was_held_and_not_spent_can_be_spent_by_others(bench: Bench) -> None:
    """A call that failed before it cost anything leaves the budget as it was."""
    store = bench.store
    await store.hold("failed", [budget()], Amounts(nanousd=10 * USD))
    assert (await store.hold("poor", [budget()], Amounts(nanousd=1))).denial is not None

    await store.settle("failed", NOTHING_USED)

    assert (await store.hold("rich", [budget()], Amounts(nanousd=10 * USD))).denial is None


async def test_a_budget_is_denied_until_its_period_ends(bench: Bench) -> None:
    """For ever, if it has none."""
    ends = bench.wall() + 3600
    await bench.store.hold("a", [budget(key="hourly", resets_at=ends)], Amounts(nanousd=10 * USD))
    await bench.store.hold("b", [budget(key="total")], Amounts(nanousd=10 * USD))

    hourly = await bench.store.hold("c", [budget(key="hourly", resets_at=ends)], Amounts(nanousd=1))
    total = await bench.store.hold("d", [budget(key="total")], Amounts(nanousd=1))

    assert denied(hourly)[1] == pytest.approx(3600, abs=1)
    assert denied(total) == ("total", math.inf)


async def test_each_fraction_is_crossed_once(bench: Bench) -> None:
    """Several at once, if one call costs so much."""
    store, fractions = bench.store, (0.5, 0.8, 1.0)
    crossed = []

    for number, cost in enumerate([4, 1, 1, 4]):
        await store.hold(f"h{number}", [budget(alert_at=fractions)], Amounts(nanousd=cost * USD))
        found = await store.settle(f"h{number}", Amounts(nanousd=cost * USD))
        crossed.append([(crossing.fraction, crossing.spent) for crossing in found])

    assert crossed == [[], [(0.5, 5 * USD)], [], [(0.8, 10 * USD), (1.0, 10 * USD)]]


async def test_a_budget_starts_at_what_the_ledger_says(bench: Bench) -> None:
    """What is held stays so, and alerts of the time before are not told again."""
    store = bench.store
    await store.hold("early", [budget(alert_at=(0.5,))], Amounts(nanousd=2 * USD))

    await store.set_spent("budget", 7 * USD, None)

    assert await store.budget("budget") == BudgetState(spent=7 * USD, held=2 * USD)
    assert await store.budget("nobody's") == BudgetState(spent=0, held=0)
    assert await store.settle("early", Amounts(nanousd=2 * USD)) == []
    assert (await store.hold("late", [budget()], Amounts(nanousd=2 * USD))).denial is not None


async def test_what_nobody_held_is_spent_all_the_same(bench: Bench) -> None:
    """Once, by whatever limits it is counted, over them or not; what is held stays so."""
    store = bench.store
    await store.hold("h", [budget()], Amounts(nanousd=2 * USD))

    crossings = await store.spend(
        [budget(10 * USD, alert_at=(0.5, 1.0)), budget(20 * USD, alert_at=(0.5, 1.0))], 12 * USD
    )

    assert await store.budget("budget") == BudgetState(spent=12 * USD, held=2 * USD)
    assert [(each.demand.limit, each.fraction, each.spent) for each in crossings] == [
        (10 * USD, 0.5, 12 * USD),
        (10 * USD, 1.0, 12 * USD),
        (20 * USD, 0.5, 12 * USD),
    ]


async def test_a_shadow_counts_and_denies_nothing(bench: Bench) -> None:
    """What it would have denied is told; money and places count as they are used."""
    store = bench.store
    shadows: list[Demand] = [rate(burst=1, is_shadow=True), lease(is_shadow=True), budget(is_shadow=True)]
    asked = Amounts(of_rates=1, nanousd=6 * USD)
    await store.hold("first", shadows, asked)

    second = await store.hold("second", shadows, asked)

    assert second.denial is None
    assert [shadow.demand.key for shadow in second.shadows] == ["rate", "lease", "budget"]
    assert await store.budget("budget") == BudgetState(spent=0, held=12 * USD)
    await store.settle("second", asked)
    await store.settle("first", asked)
    assert await store.budget("budget") == BudgetState(spent=12 * USD, held=0)
    bench.advance(1.01)
    third = await store.hold("third", shadows, asked)
    assert [shadow.demand.key for shadow in third.shadows] == ["budget"]


async def test_a_shadow_gives_nothing_back_that_it_did_not_take(bench: Bench) -> None:
    """A call that it would have denied leaves its rate as it was."""
    shadow = [rate(burst=1, per_second=0.01, is_shadow=True)]
    await bench.store.hold("within", shadow, ONE)

    await bench.store.hold("beyond", shadow, ONE)
    await bench.store.settle("beyond", NOTHING_USED)

    assert len((await bench.store.hold("next", shadow, ONE)).shadows) == 1


async def test_a_shadow_beside_a_limit_on_the_same_account_counts_once(bench: Bench) -> None:
    """A lower budget is tried in the shadow of the one that binds."""
    store = bench.store
    demands = [budget(10 * USD), budget(5 * USD, alert_at=(1.0,), is_shadow=True)]
    cost = Amounts(nanousd=3 * USD)

    verdicts = [await store.hold(f"h{number}", demands, cost) for number in range(4)]
    crossed = [await store.settle(f"h{number}", cost) for number in range(3)]

    assert [len(verdict.shadows) for verdict in verdicts] == [0, 1, 1, 0]
    assert denied(verdicts[3])[0] == "budget"
    assert await store.budget("budget") == BudgetState(spent=9 * USD, held=0)
    assert [len(found) for found in crossed] == [0, 1, 0]


async def test_two_limits_of_one_rate_are_one(bench: Bench) -> None:
    """The same rule given twice does not halve it."""
    verdict = await bench.store.hold("h", [rate(), rate()], ONE)
    await bench.store.settle("h", NOTHING_USED)

    assert state(verdict).remaining == pytest.approx(9, abs=0.01)
    assert (await bench.store.hold("i", [rate()], Amounts(of_rates=10))).denial is None


@every_store
@pytest.mark.soak
@pytest.mark.timeout(900 if SOAK else 60)
@settings(max_examples=1000 if SOAK else 60)
@given(
    per_second=st.floats(0.01, 1000.0),
    burst=st.integers(1, 50),
    arrivals=st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 5)), min_size=1, max_size=60),
)
async def test_no_window_admits_more_than_burst_and_rate(
    kind: str, per_second: float, burst: int, arrivals: list[tuple[float, int]]
) -> None:
    """However calls arrive and whatever they weigh."""
    bench = STORES[kind]()
    start = bench.wall()
    admitted: list[tuple[float, int]] = []

    for number, (gap, amount) in enumerate(arrivals):
        bench.advance(gap / per_second)
        demand, asked = rate(per_second=per_second, burst=burst), Amounts(of_rates=amount)
        if (await bench.store.hold(f"h{number}", [demand], asked)).denial is None:
            admitted.append((bench.wall() - start, amount))
            await bench.store.settle(f"h{number}", asked)

    for first, (since, _) in enumerate(admitted):
        total = 0
        for until, amount in admitted[first:]:
            total += amount
            assert total <= burst + per_second * (until - since + 1e-5) + 1e-6


@every_store
@pytest.mark.soak
@pytest.mark.timeout(900 if SOAK else 60)
@settings(max_examples=100 if SOAK else 8)
@given(
    per_second=st.floats(0.1, 100.0),
    burst=st.integers(2, 50),
    gaps=st.lists(st.floats(0.05, 0.5), min_size=1, max_size=30),
)
async def test_a_busy_rate_gives_all_it_has(kind: str, per_second: float, burst: int, gaps: list[float]) -> None:
    """Under more calls than it admits, at least 99 % of burst + rate × time pass."""
    bench = STORES[kind]()
    start, passed = bench.wall(), 0

    for number in range(2000):
        bench.advance(gaps[number % len(gaps)] / per_second)
        verdict = await bench.store.hold(f"h{number}", [rate(per_second=per_second, burst=burst)], ONE)
        passed += verdict.denial is None

    fair = min(2000.0, burst + per_second * (bench.wall() - start))
    assert passed >= 0.99 * (fair - 1.0)
