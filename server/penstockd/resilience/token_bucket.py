"""Rate limiting by GCRA: a bucket is two moments, when it will be full again, and when it last was."""

import math

from msgspec import Struct

from penstockd.clock import Clock

# Moments are rounded floats: who waits exactly as long as told must not be a rounding error too early.
TOLERANCE = 1e-6


class Level(Struct):
    """How a bucket stands: when it will be full again, any moment of the past being now, and since when it is not.

    Whoever keeps it knows the bucket's rate a second and its burst, and the time. The Generic Cell Rate Algorithm in
    its virtual scheduling form, ITU-T I.371, with `full_at` as its theoretical arrival time.
    """

    full_at: float = -math.inf
    short_since: float = -math.inf

    def left(self, now: float, rate: float, burst: float) -> float:
        """How much would fit; negative where it is overdrawn."""
        return burst - max(0.0, self.full_at - now) * rate

    def wait(self, now: float, amount: float, rate: float, burst: float) -> float:
        """The seconds until `amount` fits, 0.0 if it does now; one over the burst never does: inf."""
        if amount > burst:
            return math.inf
        full_at = self.full_at
        wait = (max(now, full_at)) + amount / rate - now - burst / rate
        return wait if wait > TOLERANCE else 0.0

    def debit(self, now: float, amount: float, rate: float) -> None:
        """Take `amount`, fit or not."""
        if self.full_at > now:
            self.full_at += amount / rate
        else:
            self.full_at, self.short_since = now + amount / rate, now

    def credit(self, now: float, amount: float, rate: float, short_since: float) -> None:
        """Undo `amount` of a debit, after which the bucket was `short_since`; a negative one is debited, fit or not.

        A bucket that was full since has lost nothing by that debit: time has undone it. So what is used from any moment
        at which it was full is at most its burst and what has come in since, however much was held in between.
        """
        if amount < 0:
            self.debit(now, -amount, rate)
        elif self.short_since == short_since:
            self.full_at -= amount / rate


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
        return self.level.left(self._clock.monotonic(), self._rate, self.burst)

    def take(self, amount: float = 1.0) -> float:
        """Debit `amount`; return 0.0, or the seconds until it would fit, debiting nothing."""
        wait = self.wait(amount)
        if not wait:
            self.level.debit(self._clock.monotonic(), amount, self._rate)
        return wait

    def wait(self, amount: float = 1.0) -> float:
        """The seconds until `amount` would fit, 0.0 = now."""
        return self.level.wait(self._clock.monotonic(), amount, self._rate, self.burst)

    def give_back(self, amount: float, short_since: float) -> None:
        """Undo a debit, or a part of it; `short_since` is as `level` had it after that."""
        self.level.credit(self._clock.monotonic(), amount, self._rate, short_since)
