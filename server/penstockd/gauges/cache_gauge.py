"""Shows how full the cache of answers is, and how much it and idempotency keys help."""

from penstockd import conventions as names
from penstockd.answers import Lookups
from penstockd.gauges.gauges import Gauges
from penstockd.interceptors.flights.flights import Flights
from penstockd.metrics.instruments import Count
from penstockd.stores.answers.memory_answers import MemoryAnswers


def show_cache(gauges: Gauges, *, answers: MemoryAnswers, lookups: Lookups, flights: Flights) -> None:
    """Show what is kept, and what came of looking for it."""
    cache = answers.cache
    gauges.number(names.PENSTOCK_CACHE_ENTRIES, lambda: len(cache), unit="{answer}", description="Answers kept.")
    gauges.number(names.PENSTOCK_CACHE_SIZE, lambda: cache.bytes, unit="By", description="Bytes of answers kept.")
    gauges.count(names.PENSTOCK_CACHE_HITS, lambda: lookups.hits, description="Calls that a kept answer served.")
    gauges.count(names.PENSTOCK_CACHE_MISSES, lambda: lookups.misses, description="Calls that found none.")
    gauges.count(names.PENSTOCK_CACHE_JOINS, lambda: flights.joins, description="Calls that joined one in flight.")
    gauges.count(
        names.PENSTOCK_CACHE_EVICTIONS, lambda: cache.evictions, description="Answers forgotten for want of room."
    )


def show_idempotency(gauges: Gauges, *, replays: Count, flights: Flights) -> None:
    """Show what came of calls whose idempotency keys were used before."""
    gauges.count(
        names.PENSTOCK_IDEMPOTENCY_REPLAYS,
        lambda: replays.value,
        description="Calls that were given their key's earlier answer.",
    )
    gauges.count(
        names.PENSTOCK_IDEMPOTENCY_JOINS,
        lambda: flights.joins,
        description="Calls that joined their key's one in flight.",
    )
