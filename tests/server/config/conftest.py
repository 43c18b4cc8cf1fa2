"""A configuration file for each test."""

from pathlib import Path

import pytest

from fakes.config_file import ConfigFile


@pytest.fixture
def config(tmp_path: Path) -> ConfigFile:
    """A configuration file in a directory of its own."""
    return ConfigFile(tmp_path)
