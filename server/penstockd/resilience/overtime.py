"""Time beyond a call's own limit, for work that others wait for, too."""

from collections.abc import Callable
from math import inf


class Overtime:
    """Moves the end of work that callers share from the first one's limit to a later one's."""

    def __init__(self) -> None:
        """Grant none yet."""
        self.until = -inf
        self._watchers: set[Callable[[], None]] = set()

    def grant(self, until: float) -> None:
        """Go on until `until`, monotonic seconds, if that is later than was granted before."""
        if until > self.until:
            self.until = until
            for granted in tuple(self._watchers):
                granted()

    def watch(self, granted: Callable[[], None]) -> None:
        """Have `granted` called at every grant from now on."""
        self._watchers.add(granted)

    def unwatch(self, granted: Callable[[], None]) -> None:
        """Have it called no more."""
        self._watchers.discard(granted)
