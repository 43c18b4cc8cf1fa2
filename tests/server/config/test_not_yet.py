"""Settings of later versions are refused rather than ignored."""

import pytest

from fakes.config_file import ConfigFile


def test_what_would_change_something_is_refused(config: ConfigFile) -> None:
    """Nobody believes in a limit that is not there."""
    assert config.mistakes("redis_url: redis://h") == ["redis_url: not yet supported in this version"]


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


def test_names_in_the_environment_are_refused_likewise(config: ConfigFile) -> None:
    """Wherever it is said."""
    [line] = config.mistakes("", {"REDIS_URL": "redis://h"})

    assert line == "redis_url: not yet supported in this version (from REDIS_URL)"
