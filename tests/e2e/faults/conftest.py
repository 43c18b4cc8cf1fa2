"""What every test of faults has: upstreams that do as they are told."""

from collections.abc import AsyncIterator

import pytest_asyncio

from fakes.stage import well
from fakes.upstream import Upstream


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sick() -> AsyncIterator[Upstream]:
    """The upstream with the fault."""
    async with Upstream() as upstream:
        yield upstream


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def healthy() -> AsyncIterator[Upstream]:
    """Another one, which answers "well"."""
    async with Upstream() as upstream:
        upstream.respond(well)
        yield upstream
