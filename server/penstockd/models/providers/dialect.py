"""What providers of chat over HTTP have in common, and what tells them apart."""

from typing import Final, Protocol, TypeAlias, TypeGuard, TypeVar

import msgspec
from msgspec import Struct

from penstockd.model import Prompt
from penstockd.outcome import FinishReason
from penstockd.upstream import Broken, Filtered, ToolCalled
from penstockd.usage import NOTHING, Usage

T = TypeVar("T")

Odd: TypeAlias = str | int | float | bool | list[object] | None
"""What some servers send where usage should be: as good as none, for the answer is good without it."""

MAX_TOKENS = 1_000_000_000
"""More than any call uses: a larger count is a mistake that would not fit into the money."""

# What ends a whole answer at OpenAI and at Anthropic, then at servers of their dialects: "model_length" is Mistral's
# (docs.mistral.ai/api), the "eos" are those of Together and of Hugging Face's text generation. Some write it all in
# upper case.
_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "model_length": FinishReason.LENGTH,
}
# "refusal" is Anthropic's, "sensitive" Zhipu's, "guardrail_intervened" Bedrock's, the others are Google's
# (ai.google.dev/api/generate-content).
_FILTERS = frozenset(
    (
        "refusal",
        "sensitive",
        "guardrail_intervened",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "model_armor",
    )
)
_TOOL_CALLS = frozenset(("tool_calls", "function_call", "tool_use", "pause_turn"))
"""Endings that wait for a tool, ours or the provider's, before the answer goes on."""


class Progress(Struct):
    """What is known about an answer so far, its text aside.

    `ending` is the provider's word for why it ended, `model` its word for who answers; anything but text is none.
    `is_counted` says that `usage` is of all of it, and not of what came until then.
    `bytes_unsaid` is how much the model said that is no text of the answer: its reasoning, or what it tells a tool.
    `is_refused` says that the model refused in a field of its own.
    `calls_tool` says that it called a tool.
    `has_text` says that its text is more than blanks.
    """

    usage: Usage = NOTHING
    is_counted: bool = False
    bytes_unsaid: int = 0
    is_refused: bool = False
    calls_tool: bool = False
    has_text: bool = False
    model: object = None
    ending: str | None = None
    is_whole: bool = False

    @property
    def has_ended_well(self) -> bool:
        """Whether it ended in a way that we asked for, by the provider's word for it."""
        return self.ending is not None and self.ending.lower() in _FINISH_REASONS

    def finish_reason(self) -> FinishReason:
        """Why the answer ended; raise Filtered if a filter ended it, ToolCalled if the model wants a tool first.

        Raise Broken if it ended in no other way that we asked for.
        """
        if self.ending is None:
            raise Broken("the answer does not say why it ended", reason="truncated")
        ending = self.ending.lower()
        reason = _FINISH_REASONS.get(ending)
        if self.is_refused or (reason is None and _is_of_a_filter(ending)):
            raise Filtered("the provider's content filter stopped the answer")
        # Some servers say "stop" after a call.
        if (self.calls_tool and not self.has_text) or ending in _TOOL_CALLS:
            message = f"the model asked for a tool, and none was offered: look what its server adds ({self.ending})"
            raise ToolCalled(message)
        if reason is None:
            raise Broken("the answer ended in a way that was not asked for", reason="malformed")
        return reason


class Dialect(Protocol):
    """How one kind of provider is asked, and how it answers. Reading raises penstockd.upstream's failures."""

    def request(self, prompt: Prompt) -> bytes:
        """The body that asks for an answer to `prompt`."""

    def read(self, body: bytes, answer: Progress) -> str:
        """Read an answer that came in one piece: fill in `answer`, return its text."""

    def read_event(self, event: bytes, answer: Progress) -> str:
        """Read one event of a streamed answer: fill in `answer`, return the text that the event adds."""


encoded: Final = msgspec.json.Encoder().encode
"""The JSON of a request; a Turn in it is what both dialects call a message: a role and its content."""


def decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode JSON that somebody else wrote; raise Broken if it is not what we were promised."""
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise Broken(f"{type(error).__name__}: {error}"[:200], reason="malformed") from error


def _is_of_a_filter(ending: str) -> bool:
    # Some add what it was: "content_filter: SAFETY".
    return ending.startswith("content_filter") or ending in _FILTERS


def size(output: object) -> int:
    """How many bytes of output this is; anything but text is none."""
    return len(output.encode()) if isinstance(output, str) else 0


def is_count(count: object) -> TypeGuard[float]:
    """Whether this counts something; JSON's booleans are no numbers."""
    return type(count) in (int, float)


def tokens(count: object) -> int:
    """A count of tokens as a number that can be billed, whatever was sent; anything but a number is none."""
    if type(count) is int and 0 <= count <= MAX_TOKENS:
        return count  # as a rule it is one already
    return int(min(max(count, 0), MAX_TOKENS)) if is_count(count) else 0
