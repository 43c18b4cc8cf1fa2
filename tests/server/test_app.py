"""Everything is built from the settings, and put together."""

import asyncio
import sys

import pytest

from fakes.config_file import ConfigFile
from fakes.house import TWO, House
from imported.open_models import OPEN
from penstockd.app import check
from penstockd.builders.agents import AgentBuilder
from penstockd.config import ConfigErrors


def test_check_builds_and_throws_away(config: ConfigFile) -> None:
    """Whatever cannot be made is an error of the configuration."""
    check(config.load(TWO))
    python = "default: {python: 'nowhere:run', route"
    broken = config.load(TWO.replace("default: {route", python))

    with pytest.raises(ConfigErrors, match="No module named 'nowhere'"):
        check(broken)


def test_check_says_everything_that_cannot_be_made_at_once(config: ConfigFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers, agents, the certificate and the ledger's driver: none hides another."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    text = TWO.replace("a: {provider: openai,", "a: {provider: 'nowhere:make',")
    text = text.replace("default: {route", "default: {python: 'nowhere:run', route")

    text += "server: {tls: {cert: /dev/null, key: /dev/null}}\ndatabase_url: postgresql://u:hunter2@127.0.0.1:1/d\n"

    with pytest.raises(ConfigErrors) as raised:
        check(config.load(text))

    assert [error.path for error in raised.value.errors] == [
        "agents.default.python",
        "database_url",
        "models.a.provider",
        "server.tls",
    ]
    assert "pip install 'penstock[postgres]'" in str(raised.value.errors[1])
    assert "hunter2" not in str(raised.value.errors[1])


def test_check_connects_to_no_ledger(config: ConfigFile) -> None:
    """Where a configuration is checked, its database is seldom within reach."""
    check(config.load(TWO + "database_url: postgresql://u:hunter2@127.0.0.1:1/d\n"))


OWN = """
models:
  a: {provider: "imported.open_models:opened", model: m, max_in_flight: 1}
agents: {default: {route: {models: [a]}}}
"""
ANOTHER = OWN.replace("max_in_flight: 1", "max_in_flight: 2")


@pytest.mark.parametrize(
    "refused",
    [
        ANOTHER.replace("agents: {", "agents: {x: {python: 'nowhere:run'}, "),
        ANOTHER.replace("agents:", "  b: {provider: 'nowhere:make', model: m}\nagents:"),
    ],
)
async def test_what_was_made_for_a_refused_reload_is_closed(house: House, refused: str) -> None:
    """Else each SIGHUP until the file is right would leave connections behind; what is in service stays open."""
    OPEN.clear()
    house.start(OWN)
    in_service = list(OPEN)

    for _ in range(3):
        house.reload(refused)
        assert len(OPEN) == 2
        await asyncio.wait_for(OPEN[1].closed.wait(), 5)

    assert in_service == OPEN


async def test_what_was_made_is_closed_whatever_is_the_matter(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw keeps a configuration from being used as well."""
    OPEN.clear()
    house.start(OWN)
    monkeypatch.setattr(AgentBuilder, "build", lambda _self: 1 / 0)

    house.reload(ANOTHER)
    await asyncio.wait_for(OPEN[1].closed.wait(), 5)

    assert len(OPEN) == 1
