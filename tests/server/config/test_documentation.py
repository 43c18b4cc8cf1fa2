"""docs/configuration.md says everything, and what it says is true."""

import re
from pathlib import Path

import pytest

from every_setting import every_setting
from penstockd.config import cautions, load
from penstockd.config.environment import NAMES, OF_THE_CLIENT
from penstockd.config.settings import Settings

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*every_setting(Settings), *NAMES, *OF_THE_CLIENT])
def test_every_setting_and_every_name_has_its_row(name: str) -> None:
    """A setting that the page leaves out cannot be found."""
    assert re.search(rf"^\| `{re.escape(name)}` \|", PAGE, re.MULTILINE)


def test_the_page_has_no_settings_that_are_gone() -> None:
    """A row is of something that can be set."""
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    settings = {row for row in rows if row not in {*NAMES, *OF_THE_CLIENT}}

    assert settings - {*every_setting(Settings)} == {"agents.<name>.route"}


EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads(example: str, tmp_path: Path) -> None:
    """What people copy is good."""
    file = tmp_path / "penstock.yaml"
    file.write_text(example, encoding="utf-8")

    settings = load(path=file, environ={"FAST_API_KEY": "a", "STRONG_API_KEY": "b"}, flags={})

    assert [warning for warning in cautions(settings, 0.0) if "no effect" in warning] == []
    assert settings.default_agent == ("support" if "agents:" in example else "default")
