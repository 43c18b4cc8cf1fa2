"""Prompts and outputs as the gen_ai conventions write them on spans, for operators who asked for that.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/, "Recording content on attributes".
"""

from collections.abc import Iterator, Sequence

import msgspec

from penstockd import conventions as names
from penstockd.model import Prompt
from penstockd.outcome import FinishReason
from penstockd.request import Turn

MOST = 16_384
"""Characters of one prompt or one output that are kept: thousands of spans may wait for a slow receiver."""


def asked(prompt: Prompt) -> dict[str, str]:
    """The attributes that hold the prompt; of a long one the latest turns."""
    attributes = {names.GEN_AI_INPUT_MESSAGES: _json([_message(turn.role, text) for turn, text in _kept(prompt)])}
    if prompt.instructions:
        attributes[names.GEN_AI_SYSTEM_INSTRUCTIONS] = _json([_part(prompt.instructions[:MOST])])
    return attributes


def answered(text: str, finish_reason: FinishReason | None) -> dict[str, str]:
    """The attribute that holds the output, as far as it came."""
    ending = "error" if finish_reason is None else finish_reason
    return {names.GEN_AI_OUTPUT_MESSAGES: _json([_message("assistant", text[:MOST]) | {"finish_reason": ending}])}


def _kept(prompt: Prompt) -> Sequence[tuple[Turn, str]]:
    return list(_latest(prompt.turns))[::-1]


def _latest(turns: Sequence[Turn]) -> Iterator[tuple[Turn, str]]:
    left = MOST
    for turn in reversed(turns):
        if left <= 0:
            return
        yield turn, turn.content[:left]
        left -= len(turn.content)


def _message(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [_part(text)]}


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
