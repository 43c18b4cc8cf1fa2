"""The built-in model answers with what it was asked."""

import pytest

from fakes.asking import ask
from penstockd.models.providers.echo import Echo
from penstockd.outcome import FinishReason
from penstockd.request import Parameters, Role, Turn
from penstockd.usage import Usage


@pytest.mark.parametrize("text", ["hello", " two  words ", "a\nb\tc", "häßlich 😀", "", "  "])
@pytest.mark.parametrize("streams", [False, True])
async def test_it_says_what_the_user_said_last(text: str, *, streams: bool) -> None:
    """The answer is the last user turn, unchanged, however it is sent."""
    turns = (Turn(Role.USER, "before"), Turn(Role.ASSISTANT, "yes"), Turn(Role.USER, text))

    heard = await ask(Echo(), *turns, streams=streams, instructions="Be brief.")

    assert heard.text == text
    assert heard.completed is not None
    assert heard.completed.finish_reason is FinishReason.STOP
    assert heard.attempt.usage == heard.completed.usage


async def test_each_word_travels_by_itself() -> None:
    """A stream has one Delta a word."""
    heard = await ask(Echo(), Turn(Role.USER, "one two  three"), streams=True)

    assert heard.deltas == ["one", " two", "  three"]


async def test_a_unary_answer_is_one_piece() -> None:
    """Without streaming there is one Delta, and none for an empty answer."""
    assert (await ask(Echo(), Turn(Role.USER, "one two"))).deltas == ["one two"]
    assert (await ask(Echo(), Turn(Role.USER, ""))).deltas == []


async def test_usage_is_four_bytes_a_token() -> None:
    """Tokens are ⌈bytes/4⌉ a text, 4 a message and 3 a prompt."""
    heard = await ask(Echo(), Turn(Role.ASSISTANT, "12345"), Turn(Role.USER, "äöü"))

    assert heard.completed is not None
    assert heard.completed.usage == Usage(uncached_input=(2 + 4) + (2 + 4) + 3, output=2)


async def test_it_is_cut_at_the_most_output_tokens() -> None:
    """The answer has at most max_output_tokens and says that it was cut; no character is cut in two."""
    heard = await ask(Echo(), Turn(Role.USER, "abc😀defgh"), parameters=Parameters(max_output_tokens=1))

    assert heard.text == "abc"
    assert heard.completed is not None
    assert heard.completed.finish_reason is FinishReason.LENGTH
    assert heard.completed.usage.output == 1


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("stop", "text"),
    [(("three", "two"), "one "), (("none",), "one two three"), (("one",), ""), ((" ", "two t"), "one")],
)
async def test_it_ends_before_the_first_stop(stop: tuple[str, ...], text: str, *, streams: bool) -> None:
    """As other models do, of which it is the stand-in; the stop itself is not said."""
    parameters = Parameters(max_output_tokens=100, stop=stop)
    heard = await ask(Echo(), Turn(Role.USER, "one two three"), streams=streams, parameters=parameters)

    assert heard.text == text
    assert heard.completed is not None
    assert heard.completed.finish_reason is FinishReason.STOP
    assert heard.completed.usage.output == -(-len(text) // 4)
