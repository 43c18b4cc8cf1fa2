"""What the daemon shows of answers that are given again."""

from fakes.clock import FakeClock
from fakes.telescope import Telescope
from penstockd.gauges.cache_gauge import show_idempotency
from penstockd.gauges.gauges import Gauges
from penstockd.interceptors.flights.flights import Flights
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Count


def test_it_shows_calls_whose_keys_were_used_before() -> None:
    """Apart from the cache's, which knows nothing of them."""
    telescope, replays, flights = Telescope(), Count(), Flights(FakeClock(), log=Log("test"))

    show_idempotency(Gauges(telescope.meter), replays=replays, flights=flights)
    before = telescope.points("penstock.idempotency.replays") + telescope.points("penstock.idempotency.joins")
    replays.add()
    flights.joins = 2

    assert before == [({}, 0), ({}, 0)]
    assert telescope.points("penstock.idempotency.replays") == [({}, 1)]
    assert telescope.points("penstock.idempotency.joins") == [({}, 2)]
    assert telescope.points("penstock.cache.joins") == []
