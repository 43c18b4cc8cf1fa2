"""Everything is built from the settings, and put together."""

import pytest

from fakes.config_file import ConfigFile
from fakes.house import TWO
from penstockd.app import check
from penstockd.config import ConfigErrors


def test_check_builds_and_throws_away(config: ConfigFile) -> None:
    """Whatever cannot be made is an error of the configuration."""
    check(config.load(TWO))
    python = "default: {python: 'fakes.broken_module:run', route"
    broken = config.load(TWO.replace("default: {route", python))

    with pytest.raises(ConfigErrors, match="the database is down"):
        check(broken)
