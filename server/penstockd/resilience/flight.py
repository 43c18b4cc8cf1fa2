"""One piece of work that several callers wait for: one text, and each caller's place in it."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

E = TypeVar("E")


class Seat:
    """One caller's place in a flight's text; `wake` is called whenever there is news for it.

    Who `wants_pieces` is woken by each, who wants the whole text by its end.
    """

    __slots__ = ("_pieces", "_position", "wake", "wants_pieces")

    def __init__(self, pieces: Sequence[str], wake: Callable[[], None], *, wants_pieces: bool) -> None:
        """Begin at the beginning of the text, to whose `pieces` others add."""
        self._pieces = pieces
        self._position = 0
        self.wake = wake
        self.wants_pieces = wants_pieces

    def read(self) -> str:
        """Return all that was said since the last read, in one piece; empty when there is nothing new."""
        text = "".join(self._pieces[self._position :])  # of a single piece that is the piece itself
        self._position = len(self._pieces)
        return text


class Flight(Generic[E]):
    """Keeps what was said so far and who listens. Nobody's slowness or leaving is felt by anybody else.

    Readers share the one text and hold but a position in it, so that a slow reader costs nothing.
    """

    def __init__(self) -> None:
        """Begin with nothing said and nobody aboard; `length` counts the text's characters."""
        self.pieces: list[str] = []
        self.length = 0
        self.ending: E | None = None
        self._seats: dict[Seat, None] = {}

    def __repr__(self) -> str:
        state = "landed" if self.ending is not None else "flying"
        return f"<Flight {state}, {len(self._seats)} aboard, {len(self.pieces)} pieces>"

    def board(self, wake: Callable[[], None], *, wants_pieces: bool) -> Seat:
        """Listen from the beginning, to each piece or for the end."""
        seat = Seat(self.pieces, wake, wants_pieces=wants_pieces)
        self._seats[seat] = None
        return seat

    def leave(self, seat: Seat) -> bool:
        """Listen no more; return whether the flight goes on though nobody listens any more."""
        self._seats.pop(seat, None)
        return self.ending is None and not self._seats

    def say(self, text: str) -> None:
        """Add to the text."""
        self.pieces.append(text)
        self.length += len(text)
        for seat in self._seats:
            if seat.wants_pieces:
                seat.wake()

    def end(self, ending: E) -> None:
        """Land, with whatever the ending is; the first one stands."""
        if self.ending is None:
            self.ending = ending
            for seat in self._seats:
                seat.wake()
