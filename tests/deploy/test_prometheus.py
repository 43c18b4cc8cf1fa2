"""deploy/prometheus: promtool takes the rules, every alert is tried, and names what exists."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fakes.promql import PROMETHEUS_OWN, label_names, labels_of, metric_names, metrics_of
from peers import peer

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
NAMES = [rule["alert"] for rule in ALERTS]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
QUERIES = re.compile(r"`([^`]*)`")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it where the files are."""
    return subprocess.run(
        [peer("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=50
    )


def expressions(rule: dict[str, Any]) -> list[str]:
    """What a rule asks, also to describe what it found."""
    annotations = " ".join(rule.get("annotations", {}).values())
    return [rule["expr"], *QUERIES.findall(annotations)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "--lint-fatal", "alerts.yaml"),
        ("test", "rules", "alerts_test.yaml", "alerts_days_test.yaml"),
        ("check", "config", "--syntax-only", "prometheus.yaml"),
    ],
    ids=" ".join,
)
def test_promtool_takes_the_files(arguments: tuple[str, ...]) -> None:
    """The rules, the example of a configuration, and the cases of the alerts."""
    said = promtool(*arguments)

    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("alert", NAMES)
def test_an_alert_is_tried_both_ways(alert: str) -> None:
    """It fires in one case, and is silent in another."""
    files = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in FOLDER.glob("*_test.yaml")]

    tried = [case for file in files for test in file["tests"] for case in test["alert_rule_test"]]
    cases = [case for case in tried if case["alertname"] == alert]

    assert {bool(case.get("exp_alerts")) for case in cases} == {True, False}


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    """Its runbook is the section of its own name."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    annotations = rule["annotations"]

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"].endswith(f"/docs/operations.md#{rule['alert'].lower()}")
    section = page.partition(f"\n### {rule['alert']}\n")[2].partition("\n#")[0]
    assert len(section.split()) > 20


def test_the_page_has_a_section_of_no_alert_that_is_gone() -> None:
    """Nor a link into nothing."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)

    assert {heading for heading in headings if heading.startswith("Penstock")} == set(NAMES)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors


@pytest.mark.parametrize("rule", RULES, ids=[rule.get("alert", rule.get("record")) for rule in RULES])
def test_a_rule_asks_for_what_the_daemon_shows(rule: dict[str, Any]) -> None:
    """By the names of the conventions, which are all that telemetry has."""
    asked = {name for expression in expressions(rule) for name in metrics_of(expression)}
    labels = {name for expression in expressions(rule) for name in labels_of(expression)}

    assert asked
    assert asked - metric_names() - RECORDED - PROMETHEUS_OWN == set()
    assert labels - label_names() == set()


def test_the_scrape_example_names_the_job_that_the_alerts_know() -> None:
    """And where the admin token is."""
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]

    assert f'job="{job["job_name"]}"' in next(rule["expr"] for rule in ALERTS if rule["alert"] == "PenstockGone")
    assert job["authorization"]["credentials_file"]
    assert config["rule_files"] == ["alerts.yaml"]
