"""A snapshot is of what is in service."""

from pathlib import Path

from fakes.house import House
from penstockd.builders.sources import sources
from penstockd.clock import SystemClock
from penstockd.logs.log import Log
from penstockd.snapshot.counters import Counters
from penstockd.snapshot.take import Snapshots
from penstockd.tls import CertificateFiles


async def test_a_snapshot_is_of_what_is_served_now(house: House) -> None:
    """Before anything is, it is empty; a reload changes it."""
    app = house.app
    counters = Counters(house.instruments, app.state.tally, lambda: {"logs": 2})
    certificates = CertificateFiles(cert=Path("c"), key=Path("k"), clock=SystemClock(), log=Log("test"))
    parts = sources(succession=app.succession, state=app.state, health=app.health, certificates=certificates)
    snapshots = Snapshots(parts, counters, clock=SystemClock(), version="1")
    empty = snapshots.take()
    app.state.replays.add(4)
    app.state.keyed_flights.joins, app.state.flights.joins = 2, 3
    house.start()

    it = snapshots.take()
    house.reload("models: 1")
    refused = snapshots.take()

    assert (empty.models, empty.environment, empty.cache.enabled) == ([], "", False)
    assert ([model.name for model in it.models], it.environment) == (["a", "b"], "development")
    assert {problem.what for problem in refused.problems} - {problem.what for problem in it.problems} == {
        "configuration"
    }
    assert empty.certificate_expires_at is None
    certificates.expires_at = 1_800_000_000.0
    assert snapshots.take().certificate_expires_at == 1_800_000_000.0
    assert (it.idempotency.replays, it.idempotency.joins, it.cache.joins) == (4, 2, 3)
    assert (it.calls.limit, it.cache.enabled, it.telemetry_dropped.logs) == (1000, True, 2)
