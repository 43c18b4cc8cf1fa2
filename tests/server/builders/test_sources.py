"""A snapshot is of what is in service."""

from fakes.house import House
from penstockd.builders.sources import sources
from penstockd.clock import SystemClock
from penstockd.snapshot.counters import Counters
from penstockd.snapshot.take import Snapshots


async def test_a_snapshot_is_of_what_is_served_now(house: House) -> None:
    """Before anything is, it is empty; a reload changes it."""
    app = house.app
    counters = Counters(house.instruments, app.state.tally, lambda: {"logs": 2})
    parts = sources(succession=app.succession, state=app.state, health=app.health)
    snapshots = Snapshots(parts, counters, clock=SystemClock(), version="1")
    empty = snapshots.take()
    house.start()

    it = snapshots.take()
    house.reload("models: 1")
    refused = snapshots.take()

    assert (empty.models, empty.environment, empty.cache.enabled) == ([], "", False)
    assert ([model.name for model in it.models], it.environment) == (["a", "b"], "development")
    assert {problem.what for problem in refused.problems} - {problem.what for problem in it.problems} == {
        "configuration"
    }
    assert (it.calls.limit, it.cache.enabled, it.telemetry_dropped.logs) == (1000, True, 2)
