"""Real daemons, and an upstream for them to ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from peers.live_daemon import Daemons, Penstockd


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
async def daemons(tmp_path: Path) -> AsyncIterator[Daemons]:
    """Starts daemons, which end with the test."""
    async with Daemons(tmp_path) as daemons:
        yield daemons


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Penstockd]:
    """A daemon with the echo model and nothing else, for tests of one file that leave it as it was."""
    async with Daemons(tmp_path_factory.mktemp("echo")) as daemons:
        yield await daemons.start()
