"""What tests of the composition root share."""

from pathlib import Path

import pytest

from fakes.config_file import ConfigFile


@pytest.fixture
def config(tmp_path: Path) -> ConfigFile:
    """A configuration file of this test's own."""
    return ConfigFile(tmp_path)
