"""A pool that is left behind lets its calls end."""

import asyncio
from collections.abc import Callable

import pytest

from fakes import virtual_time
from fakes.scripted_model import ScriptedModel
from fakes.virtual_time import VirtualClock
from penstockd.models.pool import Pool


class Connections:
    """A provider that knows when it was closed."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.closed_at: float | None = None

    async def close(self) -> None:
        assert self.closed_at is None, "closed twice"
        self.closed_at = self._clock.monotonic()


class Scene:
    """Two models, a and b, of which b holds no connections."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.a = ScriptedModel("a", clock=self.clock).model
        self.connections = Connections(self.clock)
        self.pool = self.pool_of(self.connections)

    def pool_of(self, connections: Connections) -> Pool:
        """A pool in which a has these connections."""
        b = ScriptedModel("b", clock=self.clock).model
        return Pool({"a": self.a, "b": b}, {"a": connections, "b": object()}, clock=self.clock)


@pytest.fixture
def scene() -> Scene:
    """A pool and its clock."""
    return Scene()


def test_an_idle_pool_closes_at_once(scene: Scene) -> None:
    """Nothing is waited for."""
    virtual_time.run(scene.clock, scene.pool.close())

    assert scene.connections.closed_at == 1000.0


def test_a_pool_that_is_used_is_waited_for(scene: Scene) -> None:
    """Its connections are closed after the end of that, and soon."""
    is_used: Callable[[], bool] = lambda: scene.clock.monotonic() < 1003.0  # noqa: E731 - a question of one line

    virtual_time.run(scene.clock, scene.pool.close(is_used=is_used))

    assert scene.connections.closed_at == pytest.approx(1003.0, abs=0.2)


def test_a_busy_model_that_the_next_pool_uses_on_is_not_waited_for(scene: Scene) -> None:
    """Its old connections may be gone while its permits, which both pools share, are never all free."""
    assert scene.a.permits.take()

    virtual_time.run(scene.clock, scene.pool.close(but=scene.pool_of(Connections(scene.clock))))

    assert scene.connections.closed_at == 1000.0


def test_a_cancelled_close_waits_no_longer(scene: Scene) -> None:
    """A call that never ends does not keep the daemon: its connections are closed under it."""

    async def main() -> None:
        closing = asyncio.ensure_future(scene.pool.close(is_used=lambda: True))
        await scene.clock.sleep(1.0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    virtual_time.run(scene.clock, main())

    assert scene.connections.closed_at == 1001.0


def test_what_the_next_pool_uses_on_stays_open(scene: Scene) -> None:
    """A model that keeps its definition keeps its connections."""
    virtual_time.run(scene.clock, scene.pool.close(but=scene.pool_of(scene.connections)))

    assert scene.connections.closed_at is None


def test_what_the_next_pool_replaced_is_closed(scene: Scene) -> None:
    """The same name with another provider is another model."""
    virtual_time.run(scene.clock, scene.pool.close(but=scene.pool_of(Connections(scene.clock))))

    assert scene.connections.closed_at == 1000.0
