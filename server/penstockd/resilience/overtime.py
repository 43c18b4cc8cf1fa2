"""Time beyond a call's own limit, for work that others wait for, too."""

from collections.abc import Callable
from math import inf

from msgspec import Struct


class Overtime(Struct, eq=False):
    """Moves the end of work that callers share from the first one's limit to a later one's.

    Each of `watchers` is called at every grant, for as long as it is among them.
    """

    until: float = -inf
    watchers: set[Callable[[], None]] = set()

    def grant(self, until: float) -> None:
        """Go on until `until`, monotonic seconds, if that is later than was granted before."""
        if until > self.until:
            self.until = until
            for granted in tuple(self.watchers):
                granted()
