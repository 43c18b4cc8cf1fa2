"""What the client's tests share."""

from collections.abc import AsyncIterator, Iterator

import pytest

from fakes.daemon import FakeDaemon, fake_daemon
from fakes.twin import Client, Twin
from penstock import AgentClient


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PENSTOCK_TARGET", "PENSTOCK_API_KEY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    """A fake daemon that answers with the request's own words."""
    with fake_daemon() as running:
        yield running


@pytest.fixture(params=[AgentClient, Twin])
async def client(request: pytest.FixtureRequest, daemon: FakeDaemon) -> AsyncIterator[Client]:
    """Each of the twins in turn."""
    either: Client = request.param(daemon.target)
    yield either
    await either.close()
