"""Bounds how many answers are being made at once."""

from collections.abc import Callable

from penstockd.call import Call, Handler, Q
from penstockd.errors import Overloaded
from penstockd.resilience.permits import Permits


class Shed:
    """Refuses a call, early and cheaply, where the daemon has its hands full; what was admitted still finishes."""

    def __init__(self, permits: Permits, *, random: Callable[[], float]) -> None:
        """`random` draws from [0, 1): it spreads those who come back."""
        self._permits = permits
        self._random = random

    async def __call__(self, call: Call[Q], proceed: Handler[Q]) -> None:
        """Proceed under a permit, which covers the whole stream, else raise Overloaded."""
        if not self._permits.take():
            raise Overloaded("the server has too much in flight", retry_after=0.1 + 0.4 * self._random())
        try:
            await proceed(call)
        finally:
            self._permits.release()
