"""What the daemon shows of itself."""

from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.gauges.daemon_gauge import show_build, show_calls, show_certificate, show_dropped, show_ledger
from penstockd.gauges.gauges import Gauges
from penstockd.grpc_adapter import Adapter
from penstockd.ledger import NoLedger
from penstockd.logs.log import Log


class Ailing(NoLedger):
    """A ledger that fails."""

    fault = "the disk is full"
    waiting = 3


def test_it_shows_which_version_runs() -> None:
    """As a label, so that a roll-out is seen."""
    telescope = Telescope()

    show_build(Gauges(telescope.meter), "1.2.3")

    assert telescope.points("penstock.build_info") == [({"version": "1.2.3"}, 1)]


def test_it_shows_its_calls() -> None:
    """Those that are under way, and those that had to be cut for their readers."""
    telescope, adapter = Telescope(), Adapter(clock=FakeClock(), log=Log("test"))

    show_calls(Gauges(telescope.meter), adapter)
    adapter.stalls = 2

    assert telescope.points("penstock.calls.in_flight") == [({}, 0)]
    assert telescope.points("penstock.reader.stalls") == [({}, 2)]


def test_it_shows_a_ledger_that_fails() -> None:
    """And how much waits for it."""
    well, ill = Telescope(), Telescope()

    show_ledger(Gauges(well.meter), NoLedger())
    show_ledger(Gauges(ill.meter), Ailing())

    assert [well.points("penstock.ledger.failing"), ill.points("penstock.ledger.failing")] == [[({}, 0)], [({}, 1)]]
    assert [well.points("penstock.ledger.waiting"), ill.points("penstock.ledger.waiting")] == [[({}, 0)], [({}, 3)]]


def test_it_shows_when_its_certificate_expires() -> None:
    """As a moment: how long is left is the reader's to say."""
    telescope = Telescope()

    show_certificate(Gauges(telescope.meter), lambda: 1_800_000_000.0)

    assert telescope.points("penstock.certificate.expires.timestamp") == [({}, 1_800_000_000.0)]


def test_it_shows_what_gets_lost_by_signal() -> None:
    """Nothing lost is shown as well: only so does its growth show."""
    telescope = Telescope()

    show_dropped(Gauges(telescope.meter), {"logs": lambda: 7, "spans": lambda: 0})

    lost = {labels["penstock.signal"]: value for labels, value in telescope.points("penstock.telemetry.dropped")}
    assert lost == {"logs": 7, "spans": 0}
