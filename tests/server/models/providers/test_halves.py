"""A character that is cut between two events is put together again."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstockd.models.providers.halves import Halves
from penstockd.upstream import Broken

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


@pytest.mark.parametrize(
    "between",
    [
        b'{"type":"ping"}',
        b'{"choices":[]}',
        b'{"choices":[],"usage":{"prompt_tokens":1}}',
        b'{"type":"error","error":{"message":"x"}}',
        b'{"error":{"message":"x"}}',
    ],
)
def test_what_says_nothing_may_come_between_two_halves(between: bytes) -> None:
    """A sign of life does not take part in the text; what an error is, is its reader's to say."""
    halves = Halves()
    halves.joined(event(FIRST))

    assert halves.joined(between) == between
    assert halves.joined(event(SECOND)) == event(f"{FIRST}{SECOND}")


@pytest.mark.parametrize(
    "last", [b"[DONE]", b'{"type":"message_stop"}', b'{"choices":[{"delta":{}}]}', b'{"error":null}', b"\xff"]
)
def test_an_answer_does_not_go_on_after_half_a_character(last: bytes) -> None:
    """Nor does it end with it, be it after a sign of life."""
    halves = Halves()
    halves.joined(event(FIRST))
    halves.joined(b'{"type":"ping"}')

    with pytest.raises(Broken):
        halves.joined(last)


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
def test_what_does_not_follow_at_once_is_missing(following: str) -> None:
    """Nobody guesses where a half belongs."""
    halves = Halves()
    halves.joined(event(FIRST))

    with pytest.raises(Broken):
        halves.joined(event(following))


@pytest.mark.parametrize("escapes", ["a", r"\u00fc", f"{FIRST}{SECOND}", rf"\{FIRST}", f"a{SECOND}", f"{FIRST}a", "[]"])
def test_all_else_is_left_as_it_is(escapes: str) -> None:
    """A backslash that is itself escaped begins no half; what is wrong is its decoder's to say."""
    halves = Halves()

    assert halves.joined(event(escapes)) == event(escapes)
    assert halves.joined(b"[DONE]") == b"[DONE]"
