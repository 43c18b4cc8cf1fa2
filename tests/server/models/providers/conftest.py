"""An upstream, and providers that ask it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack

import pytest
import uvloop

from fakes.providers import KINDS, Kind, Provide
from fakes.upstream import Upstream
from penstockd.models.providers.chat import Chat
from penstockd.models.providers.wire import Target


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Connections are tested on the event loop that the daemon runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of provider in turn."""
    found: Kind = request.param
    return found


@pytest.fixture
def blackhole() -> Iterator[str]:
    """The URL of a host that swallows every attempt to connect: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.settimeout(0)
            each.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for each in waiting:
            each.close()


@pytest.fixture
async def provide(upstream: Upstream) -> AsyncIterator[Provide]:
    """A function that makes providers, closed when the test ends; they ask `upstream` unless told otherwise."""
    async with AsyncExitStack() as stack:

        def provide(kind: Kind, **target: str | float | Mapping[str, str]) -> Chat:
            settings = {"base_url": upstream.url, "api_key": "key", **target}
            provider = kind.provider(Target(**settings))  # type: ignore[arg-type]  # what a test passes, Target takes
            stack.push_async_callback(provider.close)
            return provider

        yield provide
