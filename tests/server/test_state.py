"""What outlives every configuration is looked after."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from prometheus_client import generate_latest

from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from penstockd.budgets import budget_states
from penstockd.builders.rules import rulebook
from penstockd.exporters.exporters import exporters_from
from penstockd.ledger import CannotOpenLedger, LedgerUnavailable, Loss, NoLedger, Spending
from penstockd.logs.log import Log
from penstockd.period import Period
from penstockd.principal import Principal
from penstockd.rules import Caller, budget_demand
from penstockd.state import UPKEEP_EVERY, State

SPENT = Spending(tenant="default", user_id="", agent="default", key="", cost_nanousd=6 * 10**8)


class Book(NoLedger):
    """A ledger in which something was spent, if it can be read."""

    is_away = False

    def __init__(self) -> None:
        self.spendings = [SPENT]

    async def spent(self, since: float) -> Sequence[Spending]:
        if self.is_away:
            raise LedgerUnavailable("the disk is gone")
        return self.spendings


class Stage:
    """A state that is kept up, under a budget."""

    def __init__(self, config: ConfigFile, caplog: pytest.LogCaptureFixture) -> None:
        self.ledger = Book()
        self.clock = FakeClock()
        self.telemetry = exporters_from({}, version="test")
        self.state = State(ledger=self.ledger, clock=self.clock, log=Log("test"), exporters=self.telemetry)
        self._config = config
        self._caplog = caplog

    def bound(self, usd: float | None, *more: str) -> None:
        """Let the tenant spend so many dollars a month, and bind it by `more` budgets; None for as many as it likes."""
        budgets = ", ".join([*([] if usd is None else [f"{{per: tenant, usd: {usd}}}"]), *more])
        settings = self._config.load(f"""
            models: {{m: {{provider: echo}}}}
            tenants: {{default: {{budgets: [{budgets}]}}}}
        """)
        self.rulebook = rulebook(settings)
        self.state.apply(settings, self.rulebook)

    async def spent(self) -> list[int]:
        """What counts in each of the tenant's budgets."""
        caller = Caller(principal=Principal(tenant="default"), user_id="", agent="")
        states = await budget_states(self.rulebook, self.state.limits, caller, self.clock.wall())
        return [state.spent for state in states]

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Keep up with it meanwhile."""
        task = asyncio.create_task(self.state.keep_up())
        yield
        task.cancel()

    async def upkeep(self) -> None:
        """Let it look once more."""
        self.clock.advance(UPKEEP_EVERY)
        for _ in range(10):
            await asyncio.sleep(0)

    @property
    def alerts(self) -> list[float]:
        """The fractions that were told so far."""
        fields = [record.__dict__["fields"] for record in self._caplog.records if record.message == "budget alert"]
        return [each["fraction"] for each in fields]


@pytest.fixture
def stage(config: ConfigFile, caplog: pytest.LogCaptureFixture) -> Stage:
    """A new one."""
    return Stage(config, caplog)


async def test_a_budget_that_a_reload_lowers_is_told_of_once(stage: Stage) -> None:
    """Nobody may be let in to spend what crosses it; and what a start finds was told before."""
    stage.bound(1)
    await stage.state.remember_spending()

    async with stage.kept_up():
        await stage.upkeep()
        assert stage.alerts == []
        stage.bound(0.7)
        await stage.upkeep()
        assert stage.alerts == [0.8]
        stage.bound(0.6)
        for _ in range(3):
            await stage.upkeep()

    assert stage.alerts == [0.8, 1.0]


async def test_a_lowered_budget_is_told_of_when_the_ledger_can_be_read_again(stage: Stage) -> None:
    """Upkeep goes on meanwhile."""
    stage.bound(1)
    await stage.state.remember_spending()
    stage.bound(0.7)
    stage.ledger.is_away = True

    async with stage.kept_up():
        await stage.upkeep()
        assert stage.alerts == []
        stage.ledger.is_away = False
        await stage.upkeep()

    assert stage.alerts == [0.8]


async def test_that_a_changed_budget_lacks_what_was_spent_is_said_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """And that it has it again."""
    caplog.set_level("INFO")
    stage.bound(1)
    await stage.state.remember_spending()
    stage.bound(0.7)
    stage.ledger.is_away = True

    async with stage.kept_up():
        for _ in range(3):
            await stage.upkeep()
        stage.ledger.is_away = False
        for _ in range(2):
            await stage.upkeep()

    told = [record for record in caplog.records if record.message.startswith("changed budgets")]
    assert [record.message for record in told] == [
        "changed budgets do not count what was spent before",
        "changed budgets count what was spent before",
    ]
    assert told[0].__dict__["fields"]["reason"] == "the disk is gone"


async def test_a_budget_that_was_away_for_a_moment_counts_what_was_spent_meanwhile(stage: Stage) -> None:
    """Two reloads may come between two looks."""
    stage.bound(1)
    await stage.state.remember_spending()

    async with stage.kept_up():
        await stage.upkeep()
        stage.bound(None)
        stage.ledger.spendings = [SPENT, SPENT]
        stage.bound(1)
        await stage.upkeep()

    assert await stage.spent() == [2 * SPENT.cost_nanousd]


async def test_another_budget_that_comes_and_changes_tells_nobody_again(stage: Stage) -> None:
    """What a budget had crossed before was told, however many reloads come between two looks."""
    stage.bound(1)
    await stage.state.remember_spending()

    async with stage.kept_up():
        await stage.upkeep()
        stage.bound(1, "{per: user, usd: 5}")
        stage.bound(1, "{per: user, usd: 7}")
        await stage.upkeep()

    assert stage.alerts == []


async def test_losses_that_are_charged_later_count_and_are_told(stage: Stage) -> None:
    """Nobody spent them in this daemon, and nobody may spend them again."""
    stage.bound(1)
    await stage.state.remember_spending()
    lost = 3 * 10**8

    await stage.state.count_losses(
        [Loss(tenant="default", user_id="", agent="default", key="", cost_nanousd=lost, at=stage.clock.wall())]
    )

    assert await stage.spent() == [SPENT.cost_nanousd + lost]
    assert stage.alerts == [0.8]


async def test_a_wall_clock_that_is_put_back_finds_what_was_spent(stage: Stage) -> None:
    """In the month before the one in which the daemon started; it waits for a ledger that cannot be read."""
    stage.bound(0.5)
    this_month = Period.MONTH.start(stage.clock.wall())
    await stage.state.remember_spending()

    async with stage.kept_up():
        await stage.upkeep()
        stage.clock.put(this_month - 2 * UPKEEP_EVERY)
        assert await stage.spent() == [0]
        stage.ledger.is_away = True
        await stage.upkeep()
        assert await stage.spent() == [0]
        stage.ledger.is_away = False
        stage.clock.put(this_month - 2 * UPKEEP_EVERY)
        await stage.upkeep()
        found = await stage.spent()

    assert (found, stage.alerts) == ([SPENT.cost_nanousd], [])


async def test_a_wall_clock_that_is_put_back_takes_nothing_back(stage: Stage) -> None:
    """What was settled, and has yet to be written, counts in the month all the same; the hour before was another."""
    stage.bound(5, "{per: tenant, usd: 5, period: hour}", "{per: tenant, usd: 5, period: total}")
    hour = Period.HOUR.end(stage.clock.wall())
    assert hour is not None
    stage.clock.put(hour + 1)
    await stage.state.remember_spending()
    known = SPENT.cost_nanousd

    async with stage.kept_up():
        await stage.upkeep()
        rules = stage.rulebook.of("default").budgets
        demands = [budget_demand(rule, "tenant:default", 7, stage.clock.wall()) for rule in rules]
        await stage.state.limits.spend(demands)
        before = await stage.spent()
        stage.clock.put(hour - 2)
        await stage.upkeep()

    assert before == [known + 7, known + 7, known + 7]
    assert await stage.spent() == [known + 7, known, known + 7]


async def test_a_wall_clock_that_is_put_back_within_a_period_asks_nobody(stage: Stage) -> None:
    """What was spent in the period is known."""
    stage.bound(1)
    await stage.state.remember_spending()
    stage.ledger.spendings = [SPENT, SPENT]

    async with stage.kept_up():
        await stage.upkeep()
        stage.clock.put(Period.MONTH.start(stage.clock.wall()))
        await stage.upkeep()

    assert await stage.spent() == [SPENT.cost_nanousd]


async def test_without_its_spending_a_daemon_does_not_start(stage: Stage) -> None:
    """It would give money twice."""
    stage.bound(1)
    stage.ledger.is_away = True

    with pytest.raises(CannotOpenLedger, match="the disk is gone"):
        await stage.state.remember_spending()


def test_answers_that_are_given_again_are_measured_by_why(stage: Stage) -> None:
    """Those of idempotency keys are not the cache's."""
    stage.state.replays.add(4)
    stage.state.keyed_flights.joins, stage.state.flights.joins = 2, 3

    measured = generate_latest(stage.telemetry.registry).decode().splitlines()

    assert "penstock_idempotency_replays_total 4.0" in measured
    assert "penstock_idempotency_joins_total 2.0" in measured
    assert "penstock_cache_joins_total 3.0" in measured
