"""Tells operators of a model that calls on a budget cannot use, because nobody knows what it costs."""

from math import inf

from penstockd.clock import Clock
from penstockd.log import Log

SILENCE = 60.0
"""Seconds from one alarm about a model to the next."""


class PriceAlarm:
    """One line in the log for each model now and then, however many calls it is about."""

    def __init__(self, *, clock: Clock, log: Log) -> None:
        """Nothing was told yet."""
        self._clock = clock
        self._log = log
        self._told_at: dict[str, float] = {}

    def sound(self, model: str) -> None:
        """Tell that a call was refused, unless this was told of `model` a moment ago."""
        now = self._clock.monotonic()
        if now - self._told_at.get(model, -inf) < SILENCE:
            return
        self._told_at[model] = now
        self._log.error("calls on a budget are refused: the model's price is not known", model=model)
