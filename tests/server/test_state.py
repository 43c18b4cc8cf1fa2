"""What outlives every configuration is looked after."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from penstockd.budgets import budget_states
from penstockd.builders.rules import rulebook
from penstockd.exporters.exporters import exporters_from
from penstockd.ledger import CannotOpenLedger, LedgerUnavailable, NoLedger, Spending
from penstockd.logs.log import Log
from penstockd.principal import Principal
from penstockd.rules import Caller
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
        self._clock = FakeClock()
        telemetry = exporters_from({}, version="test")
        self.state = State(ledger=self.ledger, clock=self._clock, log=Log("test"), exporters=telemetry)
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
        states = await budget_states(self.rulebook, self.state.limits, caller, self._clock.wall())
        return [state.spent for state in states]

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Keep up with it meanwhile."""
        task = asyncio.create_task(self.state.keep_up())
        yield
        task.cancel()

    async def upkeep(self) -> None:
        """Let it look once more."""
        self._clock.advance(UPKEEP_EVERY)
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


async def test_without_its_spending_a_daemon_does_not_start(stage: Stage) -> None:
    """It would give money twice."""
    stage.bound(1)
    stage.ledger.is_away = True

    with pytest.raises(CannotOpenLedger, match="the disk is gone"):
        await stage.state.remember_spending()
