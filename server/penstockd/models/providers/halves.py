"""Characters whose two halves arrive in two events."""

import re

# A character beyond U+FFFF is two escapes in JSON (RFC 8259, 7). The first half ends a text, the second begins one.
# Backslashes before it are in pairs, each pair a backslash of the text.
_FIRST = re.compile(rb'\\(?<!\\\\)(?:\\\\)*u[dD][89abAB][0-9a-fA-F]{2}(?=")')
_SECOND = re.compile(rb'(?<=[^\\]")(?=\\ud[c-f][0-9a-f]{2})', re.IGNORECASE)
_LENGTH = len(b"\\ud83d")


class Halves:
    """Joins what servers in JavaScript cut, which may cut a text within a character: no half of one can be decoded.

    `is_parted` says that something came after a first half that was not its second one: it may not have been text.
    """

    def __init__(self) -> None:
        self._first = b""
        self.is_parted = False

    @property
    def is_open(self) -> bool:
        """Whether the second half of a character has yet to come."""
        return bool(self._first)

    def joined(self, event: bytes) -> bytes:
        """Return an event's JSON with the half that waits for its second, and without the one that it ends with.

        What does not begin with the second half is returned as it is.
        """
        if self._first:
            second = _SECOND.search(event)
            self.is_parted = second is None
            if second is None:
                return event
            event = event[: second.start()] + self._first + event[second.start() :]
            self._first = b""
        if (b"\\ud" in event or b"\\uD" in event) and (first := _FIRST.search(event)):
            begins = first.end() - _LENGTH
            self._first = event[begins : first.end()]
            event = event[:begins] + event[first.end() :]
        return event
