"""State by key that forgets what has gone idle."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")

SMALL = 1024
"""Entries up to which a new one starts no sweep, and a table that was larger is made anew."""


class IdleTable(Generic[V]):
    """Values by key; a sweep looks at a few of them in turn, so that no moment pays for all.

    `get` returns the value at a key, or None; it is to be looked up each time, as a sweep may put another in its place.
    """

    get: Callable[[str], V | None]

    def __init__(self, is_idle: Callable[[V], bool]) -> None:
        """Forget a value once it `is_idle`: as good as none."""
        self._is_idle = is_idle
        self._use(OrderedDict())
        self._most = 0
        self._unpaid = 0

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> list[V]:
        """All there are."""
        return list(self._values.values())

    def put(self, key: str, value: V) -> None:
        """Keep `value` at `key` until it is idle; it is to be paid for."""
        self._values[key] = value
        self._unpaid += 1

    def pay(self) -> None:
        """Where there are many, look at two others for each value that was put."""
        if self._unpaid:
            unpaid, self._unpaid = self._unpaid, 0
            if len(self._values) > SMALL:
                self.sweep(2 * unpaid)

    def sweep(self, count: int) -> None:
        """Look at the next `count` values and forget those that are idle."""
        values = self._values
        self._most = max(self._most, len(values))
        for _ in range(min(count, len(values))):
            key = next(iter(values))
            if self._is_idle(values[key]):
                del values[key]
            else:
                values.move_to_end(key)
        if len(values) <= SMALL and self._most > 8 * SMALL:
            self._use(OrderedDict(values))  # a dict never shrinks by itself
            self._most = len(values)

    def _use(self, values: "OrderedDict[str, V]") -> None:
        self._values = values
        self.get = values.get  # the dict's own: a call asks a dozen times
