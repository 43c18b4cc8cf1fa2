"""Measures how late the event loop comes round: what every call on it feels."""

from penstockd import conventions as names
from penstockd.clock import Clock
from penstockd.metrics.instruments import Instruments

EVERY = 0.1
"""Seconds between two looks."""
LONGEST = 600.0
"""Seconds that a stall counts for at most: more would say no more, and take long to count."""


class LoopLag:
    """Wakes up now and then, and sees how much later that is than it asked for.

    A stall counts once for each look that it made late, as it would have kept calls waiting that came then: so
    percentiles tell what share of the time the loop was late.
    """

    def __init__(self, instruments: Instruments, *, clock: Clock) -> None:
        """Look at nothing yet."""
        self._clock = clock
        histogram = instruments.histogram(
            names.PENSTOCK_EVENT_LOOP_LAG,
            unit="s",
            description="How late a periodic wake-up of the event loop came.",
            labels=(),
            bounds=names.LAG_SECONDS,
        )
        self._lag = histogram.of()

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            due = self._clock.monotonic() + EVERY
            await self._clock.sleep(EVERY)
            lag = max(0.0, min(self._clock.monotonic() - due, LONGEST))
            while lag >= 0:
                self._lag.observe(lag)
                lag -= EVERY
