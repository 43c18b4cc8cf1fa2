"""Rate limiting by GCRA: a bucket is one moment, when it will be full again, and when it last was."""

import math
from typing import NamedTuple

from penstockd.clock import Clock

# Moments are rounded floats: who waits exactly as long as told must not be a rounding error too early.
TOLERANCE = 1e-6


class Level(NamedTuple):
    """How a bucket stands: when it will be full again, any moment of the past being now, and since when it is not."""

    full_at: float = -math.inf
    short_since: float = -math.inf


class Debit(NamedTuple):
    """What a bucket answers: the seconds to wait, 0.0 if the amount fits, and how it stands then."""

    wait: float
    level: Level


def debit(level: Level, now: float, amount: float, rate: float, burst: float) -> Debit:
    """Take `amount` from a bucket that refills by `rate` a second up to `burst`; what does not fit changes nothing.

    An amount over the burst never fits: its wait is infinite. The Generic Cell Rate Algorithm in its virtual scheduling
    form, ITU-T I.371, with `full_at` as its theoretical arrival time.
    """
    if amount > burst:
        return Debit(math.inf, level)
    after = _lowered(level, now, amount / rate)
    wait = after.full_at - now - burst / rate
    return Debit(wait, level) if wait > TOLERANCE else Debit(0.0, after)


def credit(level: Level, now: float, amount: float, rate: float, short_since: float) -> Level:
    """Undo `amount` of a debit, after which the bucket was short `short_since`; a negative one is debited, fit or not.

    A bucket that was full since has lost nothing by that debit: time has undone it. So what is used from any moment at
    which it was full is at most its burst and what has come in since, however much was held in between.
    """
    if amount < 0:
        return _lowered(level, now, -amount / rate)
    return level if level.short_since != short_since else Level(level.full_at - amount / rate, short_since)


class TokenBucket:
    """Admits `rate` a second on average and `burst` at once; `level` is how it stands."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self.burst = burst
        self._clock = clock
        self.level = Level()

    def __repr__(self) -> str:
        return f"<TokenBucket {self.remaining:g}/{self.burst:g}, {self._rate:g}/s>"

    @property
    def remaining(self) -> float:
        """How much would fit now."""
        return self.burst - max(0.0, self.level.full_at - self._clock.monotonic()) * self._rate

    def take(self, amount: float = 1.0) -> float:
        """Debit `amount`; return 0.0, or the seconds until it would fit, debiting nothing."""
        wait, self.level = self._debit(amount)
        return wait

    def wait(self, amount: float = 1.0) -> float:
        """The seconds until `amount` would fit, 0.0 = now."""
        return self._debit(amount).wait

    def give_back(self, amount: float, short_since: float) -> None:
        """Undo a debit, or a part of it; `short_since` is as `level` had it after that."""
        self.level = credit(self.level, self._clock.monotonic(), amount, self._rate, short_since)

    def _debit(self, amount: float) -> Debit:
        return debit(self.level, self._clock.monotonic(), amount, self._rate, self.burst)


def _lowered(level: Level, now: float, seconds: float) -> Level:
    """The bucket that is full so many seconds later."""
    full_at, short_since = level
    return Level(full_at + seconds, short_since) if full_at > now else Level(now + seconds, now)
