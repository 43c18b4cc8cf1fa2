"""The built-in model: answers with what it was asked, needs no upstream, and is the same every time."""

import asyncio
import re
from collections.abc import Iterable

from msgspec.structs import replace

from penstockd.call import Call, Completed, Delta
from penstockd.model import BYTES_PER_TOKEN, Prompt, estimate, text_tokens
from penstockd.outcome import FinishReason
from penstockd.request import Role

_WORD = re.compile(r"\s*\S+|\s+$")


class Echo:
    """Answers with what the user said last, up to a `stop`, cut at max_output_tokens; streams a word at a time."""

    async def __call__(self, call: Call[Prompt]) -> None:
        """Send the answer to `call`'s prompt as `Delta* Completed`."""
        prompt = call.request
        said = next((turn.content for turn in reversed(prompt.turns) if turn.role is Role.USER), "")
        said = _before(prompt.parameters.stop, said)
        text = _cut(said, prompt.parameters.max_output_tokens)
        usage = replace(estimate(prompt), output=text_tokens(text))
        prompt.attempt.usage = usage
        for piece in _pieces(text, streams=prompt.streams):
            await call.send(Delta(piece))
            await asyncio.sleep(0)  # lets each word travel by itself
        finish_reason = FinishReason.STOP if text == said else FinishReason.LENGTH
        await call.send(Completed(finish_reason=finish_reason, usage=usage))


def _pieces(text: str, *, streams: bool) -> list[str]:
    """What is sent, none of it empty: words with the space before each, or all at once; joined it is `text` again."""
    if streams:
        return _WORD.findall(text)
    return [text] if text else []


def _before(stops: Iterable[str], text: str) -> str:
    """What comes before the first of the `stops`; all of it, where there is none."""
    return text[: min((text.index(stop) for stop in stops if stop in text), default=len(text))]


def _cut(text: str, max_tokens: int | None) -> str:
    if max_tokens is None or text_tokens(text) <= max_tokens:
        return text
    return text.encode()[: max_tokens * BYTES_PER_TOKEN].decode(errors="ignore")
