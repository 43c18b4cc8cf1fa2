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


def test_check_says_everything_that_cannot_be_made_at_once(config: ConfigFile) -> None:
    """Providers, agents and the certificate: none hides another."""
    text = TWO.replace("a: {provider: openai,", "a: {provider: 'fakes.broken_module:make',")
    text = text.replace("default: {route", "default: {python: 'fakes.exiting_module:run', route")

    with pytest.raises(ConfigErrors) as raised:
        check(config.load(text + "server: {tls: {cert: /dev/null, key: /dev/null}}"))

    assert [error.path for error in raised.value.errors] == [
        "agents.default.python",
        "models.a.provider",
        "server.tls",
    ]
