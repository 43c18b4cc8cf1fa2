"""A flight is one text, and each reader's place in it."""

from penstockd.resilience.flight import Flight


def nothing() -> None:
    """Do not wake anybody."""


def test_whoever_boards_late_reads_from_the_beginning_in_one_piece() -> None:
    """Then each reads what is new to it."""
    flight: Flight[str] = Flight()
    early = flight.board(nothing, wants_pieces=True)
    flight.say("a")
    assert early.read() == "a"
    flight.say("b")
    flight.say("c")
    late = flight.board(nothing, wants_pieces=True)

    assert (early.read(), late.read()) == ("bc", "abc")
    assert (early.read(), late.read()) == ("", "")


def test_the_ending_is_seen_once_all_was_read() -> None:
    """And not by who is behind."""
    flight: Flight[str] = Flight()
    seat = flight.board(nothing, wants_pieces=True)
    flight.say("a")
    flight.end("done")

    assert seat.ending is None
    seat.read()
    assert seat.ending == "done"


def test_the_first_ending_stands() -> None:
    """What fails after the end of an answer does not take it back."""
    flight: Flight[str] = Flight()
    flight.end("done")
    flight.end("broken")

    assert flight.ending == "done"


def test_everybody_aboard_is_woken_by_every_news() -> None:
    """Who has left is not."""
    woken: list[str] = []
    flight: Flight[str] = Flight()
    flight.board(lambda: woken.append("stays"), wants_pieces=True)
    leaver = flight.board(lambda: woken.append("leaves"), wants_pieces=True)

    flight.say("a")
    flight.leave(leaver)
    flight.end("done")

    assert sorted(woken) == ["leaves", "stays", "stays"]


def test_a_flight_is_deserted_while_it_goes_on_and_nobody_listens() -> None:
    """One that has landed is not."""
    flight: Flight[str] = Flight()
    seat = flight.board(nothing, wants_pieces=True)
    assert not flight.is_deserted
    assert repr(flight) == "<Flight flying, 1 aboard, 0 pieces>"

    flight.leave(seat)
    assert flight.is_deserted

    flight.end("done")
    assert not flight.is_deserted
    assert repr(flight) == "<Flight landed, 0 aboard, 0 pieces>"
