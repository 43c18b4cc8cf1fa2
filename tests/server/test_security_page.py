"""docs/security.md: what it shows is true."""

import re
import shlex
from pathlib import Path

import pytest

from fakes.config_file import ConfigFile
from fakes.snapshots import fake_admin_port
from penstock.cli import main
from penstockd.api_key import SAMPLE_KEY, SAMPLE_PEPPER, digest, is_well_formed
from penstockd.builders.identities import identify
from penstockd.identity import Refusal
from penstockd.principal import Principal

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_the_sample_lets_its_caller_in_in_development(tmp_path: Path) -> None:
    """By the file that people copy, and the pepper named below it."""
    example, _ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    settings = ConfigFile(tmp_path).load(example, {"PENSTOCK_KEY_PEPPER": SAMPLE_PEPPER})

    caller = identify(settings)([f"Bearer {SAMPLE_KEY}"], None, 0)

    assert caller == Principal(tenant="acme", key="web", agents=frozenset({"default"}))
    assert f"`{SAMPLE_PEPPER}`" in PAGE


def test_every_key_and_hash_on_the_page_is_the_sample() -> None:
    """So that production can refuse them all."""
    assert set(re.findall(r"pk_\w{49}", PAGE)) == {SAMPLE_KEY}
    assert set(re.findall(r"hmac-sha256:\w+", PAGE)) == {digest(SAMPLE_PEPPER, SAMPLE_KEY)}
    assert is_well_formed(SAMPLE_KEY)


def test_the_admin_port_can_be_watched_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command takes it, and the token out of the variable that is set above it."""
    [command] = re.findall(r"^\$ penstock (top .+)$", PAGE, re.MULTILINE)
    [variable] = re.findall(r"^\$ export (\w+_TOKEN)=", PAGE, re.MULTILINE)
    with fake_admin_port() as port:
        monkeypatch.setenv(variable, "s3cret")

        code = main([*shlex.split(command.replace("http://10.0.0.7:9464", port.url)), "--once"])

    assert (code, port.asked) == (0, [("/status", "Bearer s3cret")])


def test_every_reason_for_a_refusal_is_listed() -> None:
    """An operator who sees one in the metrics can look it up."""
    [listed] = re.findall(r"`penstock_reason`: ([a-z,\s]+)\.", PAGE)

    assert re.split(r",\s+", listed) == [refusal.value for refusal in Refusal]
