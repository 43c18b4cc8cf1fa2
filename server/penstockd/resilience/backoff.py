"""How long to wait before trying again."""

from collections.abc import Callable
from math import ldexp

ROUNDS_THAT_DOUBLE = 64


def soon(random: Callable[[], float]) -> float:
    """Seconds until whoever found no room may come back: 0.1 to 0.5, jittered; `random` draws from [0, 1)."""
    return 0.1 + 0.4 * random()


class Backoff:
    """Exponential backoff with full jitter, which spreads callers best.

    See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    def __init__(self, base_delay: float, max_delay: float, *, random: Callable[[], float]) -> None:
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._random = random

    def delay(self, round: int, hint: float | None = None) -> float:  # noqa: A002 - what the retry loop counts
        """Seconds to wait before repeat number `round`, the first is 1; at least what the upstream's hint asks."""
        doublings = min(max(round - 1, 0), ROUNDS_THAT_DOUBLE)
        drawn = self._random() * min(self._max_delay, ldexp(self._base_delay, doublings))
        return drawn if hint is None else max(hint, drawn)

    def pause(self) -> float:
        """Seconds for whoever is sent away for now: half of the base delay at least, all of it at most."""
        return self._base_delay * (1.0 + self._random()) / 2.0
