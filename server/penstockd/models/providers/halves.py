"""Characters whose two halves arrive in two events."""

import re
from typing import Final

import msgspec
from msgspec import Struct

from penstockd.upstream import Broken

# A character beyond U+FFFF is two escapes in JSON (RFC 8259, 7). The first half ends a text, the second begins one.
# Backslashes before it are in pairs, each pair a backslash of the text.
_FIRST = re.compile(rb'\\(?<!\\\\)(?:\\\\)*u[dD][89abAB][0-9a-fA-F]{2}(?=")')
_SECOND = re.compile(rb'(?<=[^\\]")(?=\\ud[c-f][0-9a-f]{2})', re.IGNORECASE)
_LENGTH = len(b"\\ud83d")


class Halves:
    """Joins what servers in JavaScript cut, which may cut a text within a character: no half of one can be decoded."""

    def __init__(self) -> None:
        self._first = b""

    def joined(self, event: bytes) -> bytes:
        """Return an event's JSON with the half that the last one ended with, and without the one that it ends with.

        Raises Broken if the second half is not in the very next event that says something.
        """
        if self._first:
            second = _SECOND.search(event)
            if second is None:
                return self._passed(event)
            event = event[: second.start()] + self._first + event[second.start() :]
            self._first = b""
        if (b"\\ud" in event or b"\\uD" in event) and (first := _FIRST.search(event)):
            begins = first.end() - _LENGTH
            self._first = event[begins : first.end()]
            event = event[:begins] + event[first.end() :]
        return event

    def _passed(self, event: bytes) -> bytes:
        """Let an event pass that comes between two halves; what is no error says nothing, or the second is missing."""
        try:
            said = _EVENT.decode(event)
        except (ValueError, RecursionError):
            said = _Event()
        if said.error or said.type in ("error", "ping") or said.choices == []:
            return event
        raise Broken("a character ends after its first half", reason="malformed")


class _Event(Struct):
    """What tells that an event has no text: OpenAI's have no `choices` then, Anthropic's a `type`."""

    type: object = None
    choices: object = None
    error: object = None


_EVENT: Final = msgspec.json.Decoder(_Event)
