"""What holds for every test, and peers that tests of several folders ask for."""

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings

from fakes.upstream import Upstream
from peers.postgres import Postgres, postgres_server

# A shared machine stalls now and then; a slow example is no wrong one, and the test's own timeout still bounds it.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """An upstream in this process, to script."""
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of the file's own, which it may stop."""
    with postgres_server() as running:
        yield running
