"""Prompts and outputs are written as the conventions want them, and never without end."""

import json

from penstockd.interceptors.attempts import content
from penstockd.model import Prompt
from penstockd.models.route import Route, priority
from penstockd.outcome import FinishReason
from penstockd.request import Parameters, Role, Turn


def prompt(*turns: Turn, instructions: str = "") -> Prompt:
    """A prompt of these turns."""
    return Prompt(
        instructions=instructions, turns=turns, parameters=Parameters(), route=Route([], priority), streams=False
    )


def test_a_prompt_is_its_messages_and_its_instructions() -> None:
    """Oldest first."""
    found = content.asked(prompt(Turn(Role.ASSISTANT, "a"), Turn(Role.USER, "b"), instructions="Be kind."))

    assert {name: json.loads(text) for name, text in found.items()} == {
        "gen_ai.input.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "a"}]},
            {"role": "user", "parts": [{"type": "text", "content": "b"}]},
        ],
        "gen_ai.system_instructions": [{"type": "text", "content": "Be kind."}],
    }


def test_an_output_says_how_it_ended() -> None:
    """One that broke off too."""
    whole = json.loads(content.answered("hi", FinishReason.LENGTH)["gen_ai.output.messages"])
    broken = json.loads(content.answered("hi", None)["gen_ai.output.messages"])

    assert whole == [{"role": "assistant", "parts": [{"type": "text", "content": "hi"}], "finish_reason": "length"}]
    assert broken[0]["finish_reason"] == "error"


def test_of_a_long_prompt_the_end_is_kept() -> None:
    """As the spans of many calls may wait for a slow receiver."""
    long = "x" * (content.MOST - 1)

    found = content.asked(prompt(Turn(Role.USER, "old"), Turn(Role.USER, "older"), Turn(Role.USER, long)))

    messages = json.loads(found["gen_ai.input.messages"])
    assert [len(message["parts"][0]["content"]) for message in messages] == [1, content.MOST - 1]
    assert len(content.answered("x" * 10**6, None)["gen_ai.output.messages"]) < content.MOST + 200
    assert len(content.asked(prompt(instructions="x" * 10**6))["gen_ai.system_instructions"]) < content.MOST + 200
