"""Shows how full the cache of answers is, and how much it helps."""

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from penstockd import conventions as names
from penstockd.answers import Lookups
from penstockd.interceptors.flights import Flights
from penstockd.stores.answers.memory_answers import MemoryAnswers

_Callback = Callable[[CallbackOptions], Iterable[Observation]]


def show_cache(meter: Meter, *, answers: MemoryAnswers, lookups: Lookups, flights: Flights) -> None:
    """Have the numbers read whenever somebody looks: they cost a call nothing."""
    cache = answers.cache
    meter.create_observable_gauge(
        names.PENSTOCK_CACHE_ENTRIES, [_reading(lambda: len(cache))], unit="{answer}", description="Answers kept."
    )
    meter.create_observable_gauge(
        names.PENSTOCK_CACHE_SIZE, [_reading(lambda: cache.bytes)], unit="By", description="Bytes of answers kept."
    )
    meter.create_observable_counter(
        names.PENSTOCK_CACHE_HITS, [_reading(lambda: lookups.hits)], description="Calls that a kept answer served."
    )
    meter.create_observable_counter(
        names.PENSTOCK_CACHE_MISSES, [_reading(lambda: lookups.misses)], description="Calls that found none."
    )
    meter.create_observable_counter(
        names.PENSTOCK_CACHE_JOINS, [_reading(lambda: flights.joins)], description="Calls that joined one in flight."
    )
    meter.create_observable_counter(
        names.PENSTOCK_CACHE_EVICTIONS,
        [_reading(lambda: cache.evictions)],
        description="Answers forgotten for want of room.",
    )


def _reading(value: Callable[[], int]) -> _Callback:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value())]

    return observe
