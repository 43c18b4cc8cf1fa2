"""Rate limiting by GCRA: a bucket is one number, the moment at which it will be full again."""

import math
from typing import NamedTuple

from penstockd.clock import Clock

# Moments are rounded floats: who waits exactly as long as told must not be a rounding error too early.
TOLERANCE = 1e-6


class Debit(NamedTuple):
    """What a bucket answers: the seconds to wait, 0.0 if the amount fits, and when the bucket is full again then."""

    wait: float
    full_at: float


def debit(full_at: float, now: float, amount: float, rate: float, burst: float) -> Debit:
    """Take `amount` from a bucket that refills by `rate` a second up to `burst`; what does not fit changes nothing.

    Any `full_at` of the past is a full bucket. An amount over the burst never fits: its wait is infinite. The Generic
    Cell Rate Algorithm in its virtual scheduling form, ITU-T I.371, with `full_at` as its theoretical arrival time.
    """
    if amount > burst:
        return Debit(math.inf, full_at)
    full_after = max(full_at, now) + amount / rate
    wait = full_after - now - burst / rate
    return Debit(wait, full_at) if wait > TOLERANCE else Debit(0.0, full_after)


def credit(full_at: float, now: float, amount: float, rate: float, undone_at: float = math.inf) -> float:
    """When a bucket is full again once `amount` of a debit is undone; a negative amount is debited, fit or not.

    `undone_at` is when time will have undone the debit, which is when the bucket was to be full behind it: what it has
    undone by now is there already. Who gives back after another one may get a little more, never more than it took.
    """
    if amount < 0:
        return max(full_at, now) - amount / rate
    return full_at - min(amount / rate, max(0.0, undone_at - now))


class TokenBucket:
    """Admits `rate` a second on average and `burst` at once."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self.burst = burst
        self._clock = clock
        self._full_at = -math.inf

    def __repr__(self) -> str:
        return f"<TokenBucket {self.remaining:g}/{self.burst:g}, {self._rate:g}/s>"

    @property
    def remaining(self) -> float:
        """How much would fit now."""
        return self.burst - max(0.0, self._full_at - self._clock.monotonic()) * self._rate

    def take(self, amount: float = 1.0) -> float:
        """Debit `amount`; return 0.0, or the seconds until it would fit, debiting nothing."""
        outcome = self._debit(amount)
        self._full_at = outcome.full_at
        return outcome.wait

    def wait(self, amount: float = 1.0) -> float:
        """The seconds until `amount` would fit, 0.0 = now."""
        return self._debit(amount).wait

    def give_back(self, amount: float) -> None:
        """Undo a debit, or a part of it, though time may have done so too; a negative amount is debited, fit or not."""
        self._full_at = credit(self._full_at, self._clock.monotonic(), amount, self._rate)

    def _debit(self, amount: float) -> Debit:
        return debit(self._full_at, self._clock.monotonic(), amount, self._rate, self.burst)
