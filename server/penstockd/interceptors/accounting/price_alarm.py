"""Tells operators of a model that calls on a budget cannot use, because nobody knows what it costs."""

from math import inf

from penstockd import conventions as names
from penstockd.clock import Clock
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Instruments

SILENCE = 60.0
"""Seconds from one alarm about a model to the next."""


class PriceAlarm:
    """Counts every call that is refused, and tells the log of each model now and then."""

    def __init__(self, *, clock: Clock, log: Log, instruments: Instruments) -> None:
        """Nothing was told yet."""
        self._clock = clock
        self._log = log
        self._told_at: dict[str, float] = {}
        self._refusals = instruments.counter(
            names.PENSTOCK_PRICE_UNKNOWN,
            unit="{call}",
            description="Calls on a budget that were refused because nobody knows what the model costs.",
            labels=(names.PENSTOCK_MODEL,),
        )

    def sound(self, model: str) -> None:
        """Count a call that was refused, and tell of it unless `model` was told of a moment ago."""
        self._refusals.of(model).add()
        now = self._clock.monotonic()
        if now - self._told_at.get(model, -inf) < SILENCE:
            return
        self._told_at[model] = now
        self._log.error("calls on a budget are refused: the model's price is not known", model=model)
