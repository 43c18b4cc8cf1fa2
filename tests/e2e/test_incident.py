"""A bad night: a model dies, a tenant floods, a budget runs out, the ledger stalls. Whoever looks must see which."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fakes.night import night
from fakes.promql import metrics_of
from peers.live_daemon import PROGRAMS, Daemons, Penstockd, run
from peers.prometheus import RULES, Alert, prometheus

QUIET = 4.0
"""Seconds of a quiet evening; more than any of these alerts waits."""
DASHBOARD = RULES.parents[1] / "grafana" / "penstock.json"
NOT_TONIGHT = {"penstock_price_unknown_total", "penstock_wait_duration_seconds_bucket"}
"""Metrics of what does not happen here, and show only once it has."""
CAUSES = {
    "PenstockCircuitOpen": {"penstock_model": "fast"},
    "PenstockTenantLimited": {"penstock_tenant": "acme", "penstock_rule": "5/s requests"},
    "PenstockBudgetExhausted": {"penstock_tenant": "globex"},
    "PenstockAuthRefusals": {"penstock_reason": "unknown"},
}
LEDGER = {"PenstockLedgerFailing": {"job": "penstock"}}
SAID = (
    "Model fast ",
    "acme is being denied by 5/s requests",
    "globex has used up its budget",
    "The ledger cannot be written",
)


@pytest.mark.timeout(120)
async def test_each_cause_is_named_to_whoever_looks(daemons: Daemons, tmp_path: Path) -> None:
    """By an alert of a real Prometheus and on the terminal; who did nothing is served until the ledger stalls."""
    async with night(daemons, tmp_path) as tonight:
        innocent = tonight.callers["initech"]
        async with prometheus(tmp_path, tonight.daemon.admin.removeprefix("http://")) as watching:
            await asyncio.sleep(QUIET)
            evening = await watching.firing()
            tonight.misbehave()
            midnight = await watching.until(fire(CAUSES))
            served = set(innocent.ended)
            with tonight.locked_ledger():
                late = await watching.until(fire(LEDGER))
                refused = await tonight.ask_unchecked()  # the others may all have heard of it before they called
                board, problems = await look(tonight.daemon)
            await watching.until(lambda alerts: not fire(LEDGER)(alerts))
            await watching.until_known(asked_for() - NOT_TONIGHT)
            known = await watching.names()

    assert evening == []
    assert {name_of(alert) for alert in midnight} - {"PenstockBudgetLow"} == set(CAUSES)
    assert {alert["labels"].get("penstock_model", "fast") for alert in midnight} == {"fast"}
    assert "server_error" in description("PenstockCircuitOpen", midnight)
    assert [alert for alert in late if "error expanding" in json.dumps(alert)] == []
    assert served == {"answered"}
    assert refused == "ACCOUNTING_UNAVAILABLE"
    assert served < set(innocent.ended) <= served | {"ACCOUNTING_UNAVAILABLE", "UNREACHABLE"}
    assert {("circuit", "fast"), ("tenant", "acme"), ("budget", "globex"), ("ledger", "ledger")} <= problems
    assert [words for words in SAID if words not in board] == []
    assert asked_for() - known == NOT_TONIGHT


def fire(causes: dict[str, dict[str, str]]) -> Callable[[list[Alert]], bool]:
    """Whether each of these alerts fires, with its labels."""

    def check(alerts: list[Alert]) -> bool:
        fired = [alert["labels"].items() for alert in alerts]
        wanted = [{"alertname": name, **labels}.items() for name, labels in causes.items()]
        return all(any(labels <= found for found in fired) for labels in wanted)

    return check


def name_of(alert: Alert) -> str:
    """The alert's name."""
    name: str = alert["labels"]["alertname"]
    return name


def description(name: str, alerts: list[Alert]) -> str:
    """What an alert that fires once says."""
    (said,) = [alert["annotations"]["description"] for alert in alerts if name_of(alert) == name]
    return str(said)


async def look(daemon: Penstockd) -> tuple[str, set[tuple[str, str]]]:
    """What `penstock top` shows, and what the snapshot finds wrong, with whom."""
    top: list[str | Path] = [PROGRAMS / "penstock", "top", "--once", "--admin", daemon.admin]
    _, board, _ = await run(*top)
    _, snapshot, _ = await run(*top, "--json")
    return board, {(problem["what"], problem["subject"]) for problem in json.loads(snapshot)["problems"]}


def asked_for() -> set[str]:
    """The metrics that the rules and the dashboard ask for."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = [rule["expr"] for group in groups for rule in group["rules"]]
    asked += [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return {name for expression in asked for name in metrics_of(expression)}
