"""What has changed lately, for whoever looks at the daemon instead of its log."""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from penstockd.clock import Clock

MOST = 50
"""Changes that are kept; older ones are in the log."""


class Change(Struct, frozen=True, kw_only=True):
    """`subject` came to be in `state` because of `cause`, at `at` (unix seconds) the last of `count` times.

    `what` is circuit, ledger, budget, configuration or daemon.
    """

    at: float
    what: str
    subject: str
    state: str
    cause: str = ""
    count: int = 1


class Changes:
    """The latest changes of state, newest first."""

    def __init__(self, clock: Clock) -> None:
        """Remember none yet."""
        self._clock = clock
        self._changes: deque[Change] = deque(maxlen=MOST)

    @property
    def latest(self) -> Sequence[Change]:
        """Those that are kept."""
        return list(self._changes)

    def add(self, what: str, subject: str, state: str, cause: str = "") -> None:
        """Remember a change."""
        self._changes.appendleft(Change(at=self._clock.wall(), what=what, subject=subject, state=state, cause=cause))

    def add_or_count(self, what: str, subject: str, state: str, cause: str = "") -> None:
        """Remember a change that many may repeat, such as every user of a tenant: all of them are one."""
        change = Change(at=self._clock.wall(), what=what, subject=subject, state=state, cause=cause)
        for index, known in enumerate(self._changes):
            if replace(known, at=change.at, count=1) == change:
                del self._changes[index]
                change = replace(change, count=known.count + 1)
                break
        self._changes.appendleft(change)
