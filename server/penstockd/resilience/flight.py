"""One piece of work that several callers wait for: one text, and each caller's place in it."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

E = TypeVar("E")


class Seat(Struct, eq=False):
    """One caller's place in a flight's text, to whose `pieces` others add; `wake` is called when there is news for it.

    Who `wants_pieces` is woken by each, who wants the whole text by its end.
    """

    pieces: Sequence[str]
    wake: Callable[[], None]
    wants_pieces: bool
    position: int = 0

    def __repr__(self) -> str:
        return f"<Seat at {self.position}>"

    def read(self) -> str:
        """Return all that was said since the last read, in one piece; empty when there is nothing new."""
        text = "".join(self.pieces[self.position :])  # of a single piece that is the piece itself
        self.position = len(self.pieces)
        return text


class Flight(Struct, Generic[E], eq=False):
    """Keeps what was said so far and who listens. Nobody's slowness or leaving is felt by anybody else.

    Readers share the one text, of `length` characters, and hold but a position in it, so that a slow reader costs
    nothing.
    """

    pieces: list[str] = []
    length: int = 0
    ending: E | None = None
    seats: dict[Seat, None] = {}

    def __repr__(self) -> str:
        state = "landed" if self.ending is not None else "flying"
        return f"<Flight {state}, {len(self.seats)} aboard, {len(self.pieces)} pieces>"

    def board(self, wake: Callable[[], None], *, wants_pieces: bool) -> Seat:
        """Listen from the beginning, to each piece or for the end."""
        seat = Seat(self.pieces, wake, wants_pieces)
        self.seats[seat] = None
        return seat

    def leave(self, seat: Seat) -> bool:
        """Listen no more; return whether the flight goes on though nobody listens any more."""
        self.seats.pop(seat, None)
        return self.ending is None and not self.seats

    def say(self, text: str) -> None:
        """Add to the text."""
        self.pieces.append(text)
        self.length += len(text)
        for seat in self.seats:
            if seat.wants_pieces:
                seat.wake()

    def end(self, ending: E) -> None:
        """Land, with whatever the ending is; the first one stands."""
        if self.ending is None:
            self.ending = ending
            for seat in self.seats:
                seat.wake()
