"""A character that is cut between two events is put together again."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.models.providers.halves import Halves

FIRST, SECOND = r"\ud83d", r"\uDE00"


def event(escapes: str) -> bytes:
    """The JSON of an event with a text that is written like this."""
    return f'{{"text":"{escapes}"}}'.encode()


SHORT = {r"\u0022": r"\"", r"\u005c": r"\\", r"\u000a": r"\n", r"\u0061": "a"}


def units(text: str, *, short: bool = False) -> list[str]:
    """What JavaScript has for letters: characters beyond U+FFFF are two of them. Each as JSON may write it."""
    raw = text.encode("utf-16-be")
    escapes = [rf"\u{raw[at]:02x}{raw[at + 1]:02x}" for at in range(0, len(raw), 2)]
    return [SHORT.get(escape, escape) for escape in escapes] if short else escapes


@given(st.text(st.sampled_from('a😀𝄞ü"\\\nud8')), st.integers(1, 4), st.booleans())
def test_where_a_text_is_cut_does_not_matter(text: str, size: int, short: bool) -> None:  # noqa: FBT001  # hypothesis gives it
    """However short its pieces are, and with however many backslashes."""
    halves, letters = Halves(), units(text, short=short)
    events = [event("".join(letters[at : at + size])) for at in range(0, len(letters), size)]

    said = [msgspec.json.decode(halves.joined(event))["text"] for event in events]

    assert "".join(said) == text


def test_what_comes_between_two_halves_passes_and_is_known_to_have_come() -> None:
    """Whether it says anything is its reader's to say."""
    halves = Halves()
    assert not halves.is_parted
    halves.joined(event(FIRST))
    assert not halves.is_parted

    for between in (b'{"type":"ping"}', b"[DONE]", b"\xff", event("")):
        assert halves.joined(between) == between
        assert (halves.is_parted, halves.is_open) == (True, True)

    assert halves.joined(event(SECOND)) == event(f"{FIRST}{SECOND}")
    assert (halves.is_parted, halves.is_open) == (False, False)


@pytest.mark.parametrize("first", [r"\ud83d", r"\uD83D", r"\uDBff"])
def test_escapes_are_in_either_case(first: str) -> None:
    """JSON has both."""
    halves = Halves()

    assert halves.joined(event(f"a{first}")) == event("a")
    assert halves.joined(event(SECOND)) == event(f"{first}{SECOND}")


@pytest.mark.parametrize("backslashes", [2, 4])
def test_backslashes_in_pairs_are_the_texts(backslashes: int) -> None:
    """A half may follow them, if it has a backslash of its own."""
    before, halves = "\\" * backslashes, Halves()

    assert halves.joined(event(f"{before}{FIRST}")) == event(before)
    assert halves.joined(event(SECOND)) == event(f"{FIRST}{SECOND}")
    assert halves.joined(event(f"{before}ud83d")) == event(f"{before}ud83d")


@pytest.mark.parametrize("following", ["", "a", f"a{SECOND}", FIRST, rf"\\{SECOND}", rf"\"{SECOND}"])
def test_what_does_not_follow_at_once_is_not_joined(following: str) -> None:
    """Nobody guesses where a half belongs."""
    halves = Halves()
    halves.joined(event(FIRST))

    assert halves.joined(event(following)) == event(following)
    assert halves.is_parted


def test_a_half_that_ends_what_begins_with_one_is_open_and_not_parted() -> None:
    """Its second half may follow yet."""
    halves = Halves()
    halves.joined(event(FIRST))

    assert halves.joined(event(f"{SECOND}a{FIRST}")) == event(f"{FIRST}{SECOND}a")
    assert (halves.is_parted, halves.is_open) == (False, True)


@pytest.mark.parametrize("escapes", ["a", r"\u00fc", f"{FIRST}{SECOND}", rf"\{FIRST}", f"a{SECOND}", f"{FIRST}a", "[]"])
def test_all_else_is_left_as_it_is(escapes: str) -> None:
    """A backslash that is itself escaped begins no half; what is wrong is its decoder's to say."""
    halves = Halves()

    assert halves.joined(event(escapes)) == event(escapes)
    assert halves.joined(b"[DONE]") == b"[DONE]"
