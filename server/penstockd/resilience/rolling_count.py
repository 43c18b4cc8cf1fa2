"""Counts what happened lately, in memory that does not grow."""


class RollingCount:
    """How often something happened in the last `window` seconds.

    Time is cut into slots of `window / slots` seconds, and the running slot and the `slots − 1` before it count: what
    is older than the window never does, what is younger by one slot always does. Times given must not go back.
    """

    def __init__(self, window: float, slots: int) -> None:
        self._slot_seconds = window / slots
        self._counts = [0] * slots
        self._total = 0
        self._newest = 0
        self._newest_ends_at = self._slot_seconds
        self._running_index = 0

    def add(self, now: float) -> None:
        """Count one more."""
        if now >= self._newest_ends_at:  # a look is enough until then: each call adds to several
            self._turn(self._slot(now))
        self._counts[self._running_index] += 1
        self._total += 1

    def take_back(self, now: float, age: float) -> None:
        """Uncount the one that was added `age` seconds ago, or the next older one; nothing if the window left it."""
        self._turn(self._slot(now))
        oldest = self._newest - len(self._counts)
        for slot in range(self._slot(now - age), oldest, -1):
            if self._counts[slot % len(self._counts)]:
                self._counts[slot % len(self._counts)] -= 1
                self._total -= 1
                return

    def total(self, now: float) -> int:
        """The count of the window that ends now."""
        self._turn(self._slot(now))
        return self._total

    def look(self, now: float) -> int:
        """The same as `total`, and nothing is changed: for another thread than the one that counts."""
        slots = len(self._counts)
        oldest = max(self._slot(now), self._newest) - slots + 1
        return sum(self._counts[slot % slots] for slot in range(oldest, self._newest + 1))

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [0] * len(self._counts)
        self._total = 0

    def _slot(self, moment: float) -> int:
        return int(moment / self._slot_seconds)

    def _turn(self, running: int) -> None:
        if running <= self._newest:
            return
        for slot in range(self._newest + 1, min(running, self._newest + len(self._counts)) + 1):
            self._total -= self._counts[slot % len(self._counts)]
            self._counts[slot % len(self._counts)] = 0
        self._newest = running
        self._newest_ends_at = (running + 1) * self._slot_seconds
        self._running_index = running % len(self._counts)
