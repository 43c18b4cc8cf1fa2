"""docs/metrics.md: every metric that there is, with its type, unit and labels, and none that is not."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import penstockd
from fakes.calls import Inner, a_call
from fakes.config_file import ConfigFile
from fakes.house import TWO
from floors import syntax
from penstockd import conventions
from penstockd.app import App
from penstockd.builders.ledger import open_ledger
from penstockd.clock import SystemClock
from penstockd.config import Settings
from penstockd.errors import Unauthenticated
from penstockd.exporters.exporters import Exporters, exporters_from
from penstockd.gauges.daemon_gauge import show_build, show_certificate, show_dropped
from penstockd.gauges.gauges import Gauges
from penstockd.identity import Refusal
from penstockd.interceptors.auth import Auth
from penstockd.logs.log import Log
from penstockd.metrics.loop_lag import LoopLag

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE)
LABEL_ROWS = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| [^|]+ \|$", PAGE, re.MULTILINE)
BUDGET = "tenants: {default: {budgets: [{per: tenant, usd: 5}]}}\n"
MAKERS = {"histogram", "counter", "number", "numbers", "count", "counts"}
"""What makes a metric, by its name as the first argument."""
UNITS = {"seconds": "seconds", "bytes": "bytes", "usd": "USD"}
THEIRS = {"target_info"}
"""What OpenTelemetry's reader adds to ours."""


class Family(NamedTuple):
    """What /metrics says of a metric, and the page."""

    type: str
    labels: frozenset[str]


async def test_every_metric_has_its_row(config: ConfigFile, tmp_path: Path) -> None:
    """With its type and its labels; and there is no row of another."""
    served = await shown(config.load(TWO + BUDGET, {"PENSTOCK_STATE_DIR": str(tmp_path / "state")}))

    assert {name: Family(kind, words_of(labels)) for name, kind, _, labels in ROWS} == served
    assert {plain(name) for name in served} == {name.replace(".", "_") for name in made()}
    assert f"`{'`, `'.join(THEIRS)}`" in PAGE


@pytest.mark.parametrize(("name", "unit"), [(name, unit) for name, _, unit, _ in ROWS])
def test_a_unit_is_the_one_in_the_name(name: str, unit: str) -> None:
    """What has none in its name counts things."""
    named = [said for word, said in UNITS.items() if word in name.split("_")]

    assert [unit] == named or (not named and unit not in UNITS.values())


def test_every_label_is_explained() -> None:
    """And no other."""
    explained = [label for labels in LABEL_ROWS for label in re.findall(r"`(\w+)`", labels)]

    assert sorted(explained) == sorted({label for *_, labels in ROWS for label in words_of(labels)})


def words_of(cell: str) -> frozenset[str]:
    """The names in a cell."""
    return frozenset(re.findall(r"`(\w+)`", cell))


def plain(family: str) -> str:
    """Its name as telemetry has it, but for the dots."""
    return re.sub(r"(_seconds|_bytes|_usd)?(_total)?$", "", family)


def made() -> Iterator[str]:
    """The name of each metric that some line of the daemon makes."""
    for file in Path(penstockd.__file__).parent.rglob("*.py"):
        for node in ast.walk(syntax(file)):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr=maker), args=[ast.Attribute(value=ast.Name(id="names"), attr=constant), *_]
                ) if maker in MAKERS:
                    yield getattr(conventions, constant)


async def shown(settings: Settings) -> dict[str, Family]:
    """What /metrics has of a daemon to which everything has happened."""
    telemetry = exporters_from({}, version="test")
    await happen(telemetry, settings)
    for histogram in telemetry.instruments.histograms:
        histogram.of(*histogram.labels)
    for counter in telemetry.instruments.counters:
        counter.of(*counter.labels)
    return {
        family.name + ("_total" if family.type == "counter" else ""): Family(
            family.type, frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
        )
        for family in text_string_to_metric_families(generate_latest(telemetry.registry).decode())
        if family.name not in THEIRS
    }


async def happen(telemetry: Exporters, settings: Settings) -> None:
    """Serve models and a tenant with a budget, as serve() does, and refuse a stranger."""
    clock, log, gauges = SystemClock(), Log("test"), Gauges(telemetry.meter)
    ledger = open_ledger(settings, clock=clock, log=log, instruments=telemetry.instruments)
    app = App(ledger=ledger, clock=clock, log=log, exporters=telemetry)
    runtime = app.build(settings)
    app.use(runtime)
    await app.state.budgets.refresh(runtime.rulebook)
    show_build(gauges, "test")
    show_certificate(gauges, lambda: 0.0)
    show_dropped(gauges, {"logs": lambda: 0})
    LoopLag(telemetry.instruments, clock=clock)
    with pytest.raises(Unauthenticated):
        await Auth(lambda *_: Refusal.MISSING, clock=clock, instruments=telemetry.instruments)(a_call(None), Inner())
    await app.succession.close()
    await ledger.stop()
