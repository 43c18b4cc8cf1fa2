"""README.md: what it shows is true."""

import re
import shlex
from pathlib import Path

import pytest

from penstock.cli import arguments
from penstockd.config.environment import NAMES

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith(".venv/bin/penstock ")])
def test_the_client_takes_what_it_is_asked(command: str) -> None:
    """Its own parser says so; that it is answered is seen where each command is tested."""
    assert arguments.parse(shlex.split(command)[1:]).run


def test_everything_it_tells_people_to_make_can_be_made() -> None:
    """By that name, of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    told = re.findall(r"(?:^\$ .*|`)make ([a-z-]+)", PAGE, re.MULTILINE)

    assert {"run", "test", "check", "bench"} == set(told)
    assert set(told) <= targets


def test_the_chain_in_the_picture_is_the_chain() -> None:
    """The same interceptors, in the same order, around the call and around each model call."""
    picture = PAGE.partition("## One call, one way through")[2].partition("```")[2].partition("```")[0]
    drawn = re.findall(r"^(?: caller ──gRPC──▶ | {18})([a-z_]+) {2,}", picture, re.MULTILINE)
    source = (ROOT / "server" / "penstockd" / "app.py").read_text(encoding="utf-8")
    chains = [re.findall(r"\w+", chain) for chain in re.findall(r"chain\(\[(.+?)\]", source, re.DOTALL)]

    assert drawn == [*max(chains, key=len), *next(chain for chain in chains if "retry" in chain)]


def test_every_setting_of_its_table_is_one() -> None:
    """A name that nobody reads would be refused."""
    rows = re.findall(r"^\| (`[A-Z].*?) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([A-Z_*]+)`", row)}

    assert named - {"OTEL_*"} <= set(NAMES)


def test_what_it_links_to_is_there() -> None:
    """In this repository."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if "://" not in link]

    assert [link for link in links if not (ROOT / link).exists()] == []
    assert len(links) > 5
