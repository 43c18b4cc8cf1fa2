"""What tests of the composition root share."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.config_file import ConfigFile
from fakes.house import House


@pytest.fixture
def config(tmp_path: Path) -> ConfigFile:
    """A configuration file of this test's own."""
    return ConfigFile(tmp_path)


@pytest.fixture
async def house(config: ConfigFile) -> AsyncIterator[House]:
    """A composed daemon, closed at the end; the level of the log, which a reload sets, is as before then."""
    level = logging.getLogger().level
    it = House(config)
    yield it
    await it.close()
    logging.getLogger().setLevel(level)
