"""Bounds how much is in flight at once."""

from collections import OrderedDict
from collections.abc import Callable


class Place:
    """A place in the queue for a permit."""

    __slots__ = ("_queue", "grant")

    def __init__(self, queue: "OrderedDict[Place, None]", grant: Callable[[], None]) -> None:
        self._queue = queue
        self.grant = grant

    def leave(self) -> None:
        """Stop waiting; a permit that was granted before that is the caller's to release."""
        self._queue.pop(self, None)


class Permits:
    """At most `limit` permits are out; who finds none may wait, first come, first served, `max_waiting` at most."""

    def __init__(self, limit: int, max_waiting: int = 1000) -> None:
        self._limit = limit
        self._max_waiting = max_waiting
        self._in_flight = 0
        self._queue: OrderedDict[Place, None] = OrderedDict()  # leaving from the middle is as cheap as from the end

    def __repr__(self) -> str:
        return f"<Permits {self._in_flight}/{self._limit}, {self.waiting} waiting>"

    @property
    def in_flight(self) -> int:
        """Permits that are out."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Places in the queue."""
        return len(self._queue)

    @property
    def limit(self) -> int:
        """The most permits that may be out. Raising it grants at once; lowering it takes none back."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._hand_out()

    def take(self) -> bool:
        """Take a permit if one is free and nobody waits for it."""
        if self._queue or self._in_flight >= self._limit:
            return False
        self._in_flight += 1
        return True

    def release(self) -> None:
        """Give a permit back; it goes to the first in the queue. RuntimeError if none is out."""
        if not self._in_flight:
            raise RuntimeError("a permit was released that nobody had taken")
        self._in_flight -= 1
        if self._queue:
            self._hand_out()

    def enqueue(self, grant: Callable[[], None]) -> Place | None:
        """Wait in the queue, None if it is full; `grant` is called once, here at the earliest, and must not raise."""
        if len(self._queue) >= self._max_waiting:
            return None
        place = Place(self._queue, grant)
        self._queue[place] = None
        self._hand_out()
        return place

    def _hand_out(self) -> None:
        while self._queue and self._in_flight < self._limit:
            place, _ = self._queue.popitem(last=False)
            self._in_flight += 1
            place.grant()
