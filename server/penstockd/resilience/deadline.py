"""How a call's time is split among its attempts: pure functions of seconds.

An attempt that hangs must leave enough for the next model, and all of them enough for our own ending.
"""

from typing import Final

MINIMUM: Final = 0.020
"""Nothing is started that has less than this until its first content."""

LEAST_RESERVE: Final = 2 * MINIMUM
"""Less is not kept for the next model, however fast it is: it would not be started, or be late by a hair."""


def margin(remaining: float) -> float:
    """What our own ending may take: 5 % of the time left, 50 ms at least and 500 ms at most."""
    return min(max(0.05 * remaining, 0.05), 0.5)


def reserve(p95: float | None, remaining: float) -> float:
    """What is kept for the next model: its p95, but no more than a third of the time left, which is also for None."""
    third = max(0.0, remaining / 3.0)
    return third if p95 is None else min(max(p95, LEAST_RESERVE), third)
