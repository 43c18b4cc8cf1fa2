"""Operators hear of a budget that runs out."""

import logging

import pytest
from msgspec.structs import replace

from fakes.clock import FakeClock
from fakes.demands import USD, budget
from fakes.telescope import Telescope
from penstockd.changes import Changes
from penstockd.interceptors.accounting.budget_alerts import BudgetAlerts
from penstockd.limits import Crossing
from penstockd.logs.log import Log
from penstockd.metrics.tenant_labels import FIRST, TenantLabels


def test_each_crossing_is_one_event_and_one_count(caplog: pytest.LogCaptureFixture) -> None:
    """The event names the subject, the count its tenant and rule."""
    telescope = Telescope()
    changes = Changes(FakeClock())
    alerts = BudgetAlerts(
        log=Log("penstockd"), instruments=telescope.instruments, tenants=TenantLabels(), changes=changes
    )
    demand = budget(10 * USD)

    with caplog.at_level(logging.WARNING):
        alerts.tell([Crossing(demand=demand, fraction=fraction, spent=9 * USD) for fraction in (0.5, 0.8)])

    assert [record.message for record in caplog.records] == ["budget alert"] * 2
    assert caplog.records[1].__dict__["fields"] == {
        "tenant": "acme",
        "subject": "tenant:acme",
        "rule": "10 USD in total",
        "fraction": 0.8,
        "spent_nanousd": 9 * USD,
        "limit_nanousd": 10 * USD,
        "shadow": False,
    }
    [(attributes, value)] = telescope.points("penstock.budget.alerts")
    assert value == 2
    assert attributes == {
        "penstock.tenant": "acme",
        "penstock.rule.per": "tenant",
        "penstock.rule": "10 USD in total",
    }


def test_budgets_of_tenants_that_are_not_told_apart_are_counted_as_one() -> None:
    """Each of them may have an amount of its own."""
    telescope = Telescope()
    alerts = BudgetAlerts(
        log=Log("penstockd"), instruments=telescope.instruments, tenants=TenantLabels(), changes=Changes(FakeClock())
    )

    for number in range(FIRST + 20):
        demand = replace(budget((number + 1) * USD), tenant=f"tenant-{number}", subject=f"tenant:tenant-{number}")
        alerts.tell([Crossing(demand=demand, fraction=0.5, spent=USD)])

    told = {tuple(labels.values()): value for labels, value in telescope.points("penstock.budget.alerts")}
    assert len(told) == FIRST + 1
    assert told["other", "tenant", "other USD"] == 20
