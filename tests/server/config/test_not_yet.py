"""Settings of later versions are refused rather than ignored."""

import pytest

from fakes.config_file import ConfigFile
from penstockd.config.not_yet import NOT_YET
from penstockd.config.schema import field_at
from penstockd.config.settings import Settings

LATER = [
    ("agents: {a: {cache: {ttl: 10m}}}", "agents.a.cache"),
    ("cache: {ttl: 10m}", "cache.ttl"),
    ("cache: {max_entries: 5}", "cache.max_entries"),
    ("cache: {max_bytes: 1MiB}", "cache.max_bytes"),
    ("redis_url: redis://h", "redis_url"),
]


@pytest.mark.parametrize(("text", "path"), LATER)
def test_what_would_change_something_is_refused(config: ConfigFile, text: str, path: str) -> None:
    """Nobody believes in a limit that is not there."""
    assert config.mistakes(text) == [f"{path}: not yet supported in this version"]


@pytest.mark.parametrize("pattern", NOT_YET)
def test_the_table_names_settings_that_are_there(pattern: str) -> None:
    """A row that matches nothing guards nothing."""
    assert field_at(Settings, tuple(pattern.split("."))).annotation


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("tenants: [acme]", "tenants"),
        ("redis_url: http://h", "redis_url"),
        ("cache: {ttl: 5}", "cache.ttl"),
    ],
)
def test_its_form_is_checked_all_the_same(config: ConfigFile, text: str, path: str) -> None:
    """What is malformed now is not told to wait."""
    [line] = config.mistakes(text)

    assert line.startswith(f"{path}: ")
    assert "not yet" not in line


@pytest.mark.parametrize(
    "text",
    ["cache: {enabled: true}", "cache: {ttl: 300s}"],
)
def test_a_default_that_is_spelled_out_is_accepted_with_a_word(config: ConfigFile, text: str) -> None:
    """It promises nothing that people do not already have."""
    settings = config.load("models: {m: {provider: echo}}\n" + text)

    [warning] = settings.warnings
    assert warning.endswith(": has no effect yet in this version")


@pytest.mark.parametrize(
    "text",
    ["cache: {enabled: false}", "agents: {a: {cache: off}}", "agents: {a: {cache: false}}", "tenants: {t: {keys: []}}"],
)
def test_what_switches_a_thing_off_is_accepted(config: ConfigFile, text: str) -> None:
    """It is off."""
    assert config.load("models: {m: {provider: echo}}\n" + text).warnings == ()


def test_names_in_the_environment_are_refused_likewise(config: ConfigFile) -> None:
    """Wherever it is said."""
    assert config.mistakes("", {"REDIS_URL": "redis://h"}) == ["redis_url: not yet supported in this version"]
