"""Rate limiting by GCRA: a bucket is one moment, when it will be full again, and when it last was."""

import math

from msgspec import Struct

from penstockd.clock import Clock

# Moments are rounded floats: who waits exactly as long as told must not be a rounding error too early.
TOLERANCE = 1e-6


class Level(Struct, frozen=True):
    """How a bucket stands: when it will be full again, any moment of the past being now, and since when it is not."""

    full_at: float = -math.inf
    short_since: float = -math.inf


def wait_for(level: Level, now: float, amount: float, rate: float, burst: float) -> float:
    """The seconds until `amount` fits into a bucket that refills by `rate` a second up to `burst`, 0.0 if it does now.

    An amount over the burst never fits: its wait is infinite. The Generic Cell Rate Algorithm in its virtual scheduling
    form, ITU-T I.371, with `full_at` as its theoretical arrival time.
    """
    if amount > burst:
        return math.inf
    full_at = level.full_at
    wait = max(now, full_at) + amount / rate - now - burst / rate
    return wait if wait > TOLERANCE else 0.0


def debit(level: Level, now: float, amount: float, rate: float) -> Level:
    """Take `amount`, fit or not."""
    seconds, full_at = amount / rate, level.full_at
    return Level(full_at + seconds, level.short_since) if full_at > now else Level(now + seconds, now)


def credit(level: Level, now: float, amount: float, rate: float, short_since: float) -> Level:
    """Undo `amount` of a debit, after which the bucket was short `short_since`; a negative one is debited, fit or not.

    A bucket that was full since has lost nothing by that debit: time has undone it. So what is used from any moment at
    which it was full is at most its burst and what has come in since, however much was held in between.
    """
    if amount < 0:
        return debit(level, now, -amount, rate)
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
        wait = self.wait(amount)
        if not wait:
            self.level = debit(self.level, self._clock.monotonic(), amount, self._rate)
        return wait

    def wait(self, amount: float = 1.0) -> float:
        """The seconds until `amount` would fit, 0.0 = now."""
        return wait_for(self.level, self._clock.monotonic(), amount, self._rate, self.burst)

    def give_back(self, amount: float, short_since: float) -> None:
        """Undo a debit, or a part of it; `short_since` is as `level` had it after that."""
        self.level = credit(self.level, self._clock.monotonic(), amount, self._rate, short_since)
