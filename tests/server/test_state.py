"""What outlives every configuration is looked after."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import generate_latest

from fakes.clock import FakeClock
from fakes.config_file import ConfigFile
from fakes.demands import ONE, rate
from penstockd.builders.rules import rulebook
from penstockd.exporters.exporters import exporters_from
from penstockd.ledger import Loss, NoLedger, Spending
from penstockd.limits import NOTHING_USED
from penstockd.logs.log import Log
from penstockd.state import UPKEEP_EVERY, State


class Hanging(NoLedger):
    """A ledger that never tells what was spent."""

    async def spent(self, since: float, until: float | None) -> Sequence[Spending]:
        await asyncio.Event().wait()
        return await super().spent(since, until)


class Stage:
    """A state under a budget."""

    def __init__(self, config: ConfigFile) -> None:
        self.clock = FakeClock()
        self.telemetry = exporters_from({}, version="test")
        self.state = State(ledger=Hanging(), clock=self.clock, log=Log("test"), exporters=self.telemetry)
        settings = config.load("""
            models: {m: {provider: echo}}
            tenants: {default: {budgets: [{per: tenant, usd: 1}]}}
        """)
        self.state.apply(settings, rulebook(settings))


@pytest.fixture
def stage(config: ConfigFile) -> Stage:
    """A new one."""
    return Stage(config)


async def test_what_nobody_reads_does_not_pile_up(stage: Stage) -> None:
    """Observations are counted when they are read, else every second."""
    took = stage.telemetry.instruments.histogram("took", unit="s", description="", labels=(), bounds=(1.0,)).of()
    keeping_up = asyncio.create_task(stage.state.keep_up())
    await asyncio.sleep(0)
    took.observe(0.5)

    stage.clock.advance(UPKEEP_EVERY)
    for _ in range(10):
        await asyncio.sleep(0)
    keeping_up.cancel()

    assert (len(took.waiting), took.counts) == (0, [1, 0])


async def test_a_ledger_that_hangs_stops_no_sweep(stage: Stage) -> None:
    """What a reload's budgets wait for is no reason for anything else to grow."""
    works = [asyncio.create_task(work()) for work in (stage.state.reconciliation.keep_up, stage.state.keep_up)]
    await asyncio.sleep(0)
    await stage.state.limits.hold("h", [rate(burst=1)], ONE)
    await stage.state.limits.settle("h", NOTHING_USED)
    before = repr(stage.state.limits)

    stage.clock.advance(UPKEEP_EVERY)
    for _ in range(10):
        await asyncio.sleep(0)
    for task in works:
        task.cancel()

    assert before == "<MemoryLimits 1 rates, 0 leases, 0 budgets, 0 holds>"
    assert repr(stage.state.limits) == "<MemoryLimits 0 rates, 0 leases, 0 budgets, 0 holds>"
    assert [standing.demand.subject for standing in stage.state.budgets.fullest] == ["tenant:default"]


async def test_what_losses_cross_is_told(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody spent them in this daemon, and nobody may spend them again."""
    lost = Loss(tenant="default", user_id="", agent="default", key="", cost_nanousd=9 * 10**8, at=stage.clock.wall())

    await stage.state.reconciliation.count_losses([lost])

    told = [record.__dict__["fields"] for record in caplog.records if record.message == "budget alert"]
    assert [fields["fraction"] for fields in told] == [0.5, 0.8]


def test_answers_that_are_given_again_are_measured_by_why(stage: Stage) -> None:
    """Those of idempotency keys are not the cache's."""
    stage.state.replays.add(4)
    stage.state.keyed_flights.joins, stage.state.flights.joins = 2, 3

    measured = generate_latest(stage.telemetry.registry).decode().splitlines()

    assert "penstock_idempotency_replays_total 4.0" in measured
    assert "penstock_idempotency_joins_total 2.0" in measured
    assert "penstock_cache_joins_total 3.0" in measured
