"""Bounds how many answers are being made at once."""

from collections.abc import Callable

from penstockd import conventions as names
from penstockd.call import Call, Handler, Q
from penstockd.errors import Overloaded
from penstockd.metrics.instruments import Instruments
from penstockd.resilience.backoff import soon
from penstockd.resilience.permits import Permits


class Shed:
    """Refuses a call, early and cheaply, where the daemon has its hands full; what was admitted still finishes."""

    def __init__(self, permits: Permits, *, random: Callable[[], float], instruments: Instruments) -> None:
        """`random` draws from [0, 1): it spreads those who come back."""
        self._permits = permits
        self._random = random
        counter = instruments.counter(
            names.PENSTOCK_SHED,
            unit="{call}",
            description="Calls refused because the daemon had its hands full.",
            labels=(),
        )
        self._refused = counter.of()

    async def __call__(self, call: Call[Q], proceed: Handler[Q]) -> None:
        """Proceed under a permit, which covers the whole stream, else raise Overloaded."""
        if not self._permits.take():
            self._refused.add()
            raise Overloaded("the server has too much in flight", retry_after=soon(self._random))
        try:
            await proceed(call)
        finally:
            self._permits.release()
