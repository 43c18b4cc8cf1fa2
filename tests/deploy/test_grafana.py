"""deploy/grafana: the dashboard is whole, each query is PromQL, and asks for what exists."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.promql import label_names, labels_of, metric_names, metrics_of
from peers import peer

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/penstock.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES = [
    (f"{panel['title']} {target['refId']}", target["expr"]) for panel in PANELS for target in panel.get("targets", [])
]
OF_RULES = {"penstock_limit_admissions_total", "penstock_limit_denials_total", "penstock_budget_fraction"}
CHAIN = ["Calls", "Credentials and limits", "Cache", "Models and attempts", "Money", "Ledger", "Process"]


def plain(query: str) -> str:
    """The query as Grafana sends it."""
    return re.sub(r"\$\w+", lambda found: "5m" if found[0] == "$__rate_interval" else ".+", query)


def test_the_rows_stand_in_the_order_of_a_calls_way() -> None:
    """Who knows the chain finds the panel."""
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == CHAIN


def test_nothing_lies_over_anything_else() -> None:
    """Every panel has a place of its own, within the width."""
    cells = [
        (x, y)
        for panel in PANELS
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_the_data_source_is_chosen_by_whoever_looks() -> None:
    """No panel names one of somebody's own."""
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}

    assert variables["datasource"]["type"] == "datasource"
    assert {panel["datasource"]["uid"] for panel in PANELS if panel["type"] != "row"} == {"${datasource}"}


def test_every_panel_says_what_it_shows() -> None:
    """In a sentence, and in the name of each line."""
    shown = [panel for panel in PANELS if panel["type"] != "row"]

    assert [panel["title"] for panel in shown if not panel["description"].endswith(".")] == []
    assert [panel["title"] for panel in shown if not all(target["legendFormat"] for target in panel["targets"])] == []


def test_every_query_is_promql(tmp_path: Path) -> None:
    """As promtool reads it, a rule of each."""
    rules = [{"record": f"query:{number}", "expr": plain(query)} for number, (_, query) in enumerate(QUERIES)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")

    said = subprocess.run(
        [peer("promtool"), "check", "rules", file], capture_output=True, text=True, check=False, timeout=50
    )

    assert said.returncode == 0, said.stdout + said.stderr
    assert f"{len(QUERIES)} rules found" in said.stdout


@pytest.mark.parametrize("query", [query for _, query in QUERIES], ids=[name for name, _ in QUERIES])
def test_a_query_asks_for_what_the_daemon_shows(query: str) -> None:
    """Of the jobs and instances that are chosen, or of all."""
    asked = metrics_of(plain(query))

    assert asked
    assert asked - metric_names() == set()
    assert labels_of(query) - label_names() == set()
    assert query.count('job=~"$job", instance=~"$instance"') == query.count("{")


@pytest.mark.parametrize("query", [query for _, query in QUERIES if metrics_of(plain(query)) & OF_RULES])
def test_a_rule_is_told_from_others_and_from_shadows(query: str) -> None:
    """A call passes under several: their sum is no number of anything."""
    assert "penstock_rule_shadow=" in query
    assert "by (penstock_tenant, penstock_rule_per, penstock_rule)" in query


def test_no_panel_cuts_off_what_may_be_above_its_whole() -> None:
    """As a budget is that was lowered."""
    shown = {panel["title"] for panel in PANELS if "penstock_budget_fraction" in str(panel.get("targets"))}
    bounded = {panel["title"] for panel in PANELS if "max" in panel.get("fieldConfig", {}).get("defaults", {})}

    assert shown
    assert shown & bounded == set()
