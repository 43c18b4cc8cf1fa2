"""Nobody is sent calls that cannot be accounted for."""

from fakes.clock import FakeClock
from penstockd.changes import Changes
from penstockd.health import Health
from penstockd.ledger_watch import LedgerWatch


async def test_the_daemon_is_ready_only_while_its_ledger_is_well() -> None:
    """Whoever looks is told why, and when it was well again."""
    health, changes = Health([]), Changes(FakeClock())
    health.remove_reason("starting")
    watch = LedgerWatch(health=health, changes=changes)

    watch.tell("disk full")
    reasons = health.reasons
    watch.tell("")

    assert (reasons, health.reasons) == (["ledger"], [])
    seen = [(each.what, each.state, each.cause) for each in reversed(changes.latest)]
    assert seen == [("ledger", "failing", "disk full"), ("ledger", "recovered", "")]
