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
    seats = [flight.board(nothing, wants_pieces=True) for _ in range(2)]
    assert repr(flight) == "<Flight flying, 2 aboard, 0 pieces>"

    assert [flight.leave(seat) for seat in seats] == [False, True]
    late = flight.board(nothing, wants_pieces=True)
    flight.end("done")

    assert not flight.leave(late)
    assert repr(flight) == "<Flight landed, 0 aboard, 0 pieces>"
