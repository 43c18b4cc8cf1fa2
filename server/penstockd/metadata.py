"""What callers send beside their messages."""

from collections.abc import Sequence
from typing import TypeAlias

Entries: TypeAlias = Sequence[tuple[str, str | bytes]]


class Metadata:
    """Entries in the order sent, of which several may have one name; gRPC gives values that are no UTF-8 as bytes."""

    __slots__ = ("_entries", "_last")

    def __init__(self, entries: Entries = ()) -> None:
        self._entries = entries
        # Most that is asked for is not there: one look tells. By places, as gRPC's entries are slow to take apart.
        self._last = {entry[0]: entry[1] for entry in entries}

    def values(self, name: str) -> list[str]:
        """Every value of the entries called `name`."""
        last = self._last.get(name)
        if last is None:
            return []
        if len(self._last) == len(self._entries):
            return [last if isinstance(last, str) else _text(last)]  # without a call, as every call has a key
        return [_text(value) for each, value in self._entries if each == name]

    def last(self, name: str) -> str | None:
        """The value of the last entry called `name`, if it is a text."""
        value = self._last.get(name)
        return value if isinstance(value, str) else None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


NONE = Metadata()
