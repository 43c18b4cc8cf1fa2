"""OpenAI's chat completions, and every server that speaks them (platform.openai.com/docs/api-reference/chat)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from penstockd.clock import Clock
from penstockd.model import Prompt
from penstockd.models.providers.chat import Chat
from penstockd.models.providers.dialect import Odd, Progress, decoded, encoded, size
from penstockd.models.providers.openai_usage import OpenAIUsage
from penstockd.models.providers.refusal import refusal_within
from penstockd.models.providers.wire import Target, Wire
from penstockd.upstream import Broken
from penstockd.usage import NOTHING

BASE_URL = "https://api.openai.com/v1"


def openai(
    target: Target, *, model: str, clock: Clock, max_tokens_field: str | None, body: Mapping[str, object]
) -> Chat:
    """A provider that asks `model` at a server which speaks OpenAI's chat completions.

    `body` is added to each request's. Raises ValueError, or OSError for the target's CA file.
    """
    key = {"authorization": f"Bearer {target.api_key}"} if target.api_key else {}
    field = max_tokens_field or max_tokens_field_of(target.base_url)
    dialect = OpenAI(model=model, max_tokens_field=field, body=body)
    wire = Wire(target, path="/chat/completions", headers=key, trust=target.trust())
    return Chat(dialect, wire, clock)


def max_tokens_field_of(base_url: str) -> str:
    """The name of the field that bounds the output at `base_url`.

    Every compatible server takes max_tokens; OpenAI's own newer models refuse it, and all of them take the other.
    """
    return "max_completion_tokens" if urlsplit(base_url).hostname == urlsplit(BASE_URL).hostname else "max_tokens"


class OpenAI:
    """The dialect of chat completions."""

    def __init__(self, *, model: str, max_tokens_field: str, body: Mapping[str, object]) -> None:
        """`body` has what else to send; what a prompt says comes over it."""
        self._max_tokens_field = max_tokens_field
        self._body = {**body, "model": model}

    def request(self, prompt: Prompt) -> bytes:
        """The body that asks for an answer to `prompt`."""
        parameters = prompt.parameters
        system = ({"role": "system", "content": prompt.instructions},) if prompt.instructions else ()
        body = {**self._body, "messages": (*system, *prompt.turns)}
        if parameters.max_output_tokens is not None:
            body[self._max_tokens_field] = parameters.max_output_tokens
        if parameters.temperature is not None:
            body["temperature"] = parameters.temperature
        if parameters.top_p is not None:
            body["top_p"] = parameters.top_p
        if parameters.stop:
            body["stop"] = parameters.stop
        if parameters.seed is not None:
            body["seed"] = parameters.seed
        if prompt.streams:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return encoded(body)

    def read(self, body: bytes, answer: Progress) -> str:
        """Read an answer that came in one piece: fill in `answer`, return its text."""
        completion = decoded(_COMPLETION, body)
        choice = completion.first(answer)
        answer.is_counted = isinstance(completion.usage, OpenAIUsage)
        if choice is None or choice.message is None:
            # Why it ended may be why nothing was said: a filter, for example.
            if answer.ending is not None:
                answer.finish_reason()
            raise Broken("the answer has no message", reason="malformed")
        return choice.message.heard(answer)

    def read_event(self, event: bytes, answer: Progress) -> str:
        """Read one event of a streamed answer: fill in `answer`, return the text that the event adds."""
        if event.strip() == b"[DONE]":
            answer.is_whole = True
            return ""
        choice = decoded(_COMPLETION, event).first(answer)
        if choice is None or choice.delta is None:
            return ""
        return choice.delta.heard(answer)


class _Function(Struct):
    name: object = None
    arguments: object = None


class _ToolCall(Struct):
    function: _Function | None = None


class _Part(Struct):
    """A piece of text or, as `thinking`, of reasoning, which comes in pieces of its own; others have neither."""

    text: str | None = None
    thinking: "list[_Part] | str | None" = None

    @property
    def bytes_unsaid(self) -> int:
        """How much of it is reasoning."""
        if isinstance(self.thinking, list):
            return sum(size(piece.text) for piece in self.thinking)
        return size(self.thinking)


class _Message(Struct):
    """What the model says; `reasoning_content` is DeepSeek's and Qwen's, `reasoning` OpenRouter's and vLLM's.

    Models of Mistral that reason say it in parts (docs.mistral.ai/capabilities/reasoning). A `refusal` comes where the
    content should have had a shape that was asked for, and is none of it.
    """

    content: str | list[_Part] | None = None
    refusal: object = None
    reasoning_content: object = None
    reasoning: object = None
    tool_calls: list[_ToolCall] | None = None

    @property
    def text(self) -> str:
        """What of it is the answer."""
        content = self.content
        if isinstance(content, list):
            return "".join(part.text for part in content if part.text)
        return content or ""

    @property
    def bytes_unsaid(self) -> int:
        """Reasoning counts once where it comes under both names; what is said to tools counts too."""
        asked = sum(size(function.name) + size(function.arguments) for function in self._called)
        parts = self.content if isinstance(self.content, list) else ()
        thought = sum(part.bytes_unsaid for part in parts)
        return max(size(self.reasoning_content), size(self.reasoning)) + thought + asked + size(self.refusal)

    @property
    def _called(self) -> list[_Function]:
        return [call.function for call in self.tool_calls or () if call.function]

    def heard(self, answer: Progress) -> str:
        """Fill in `answer`, return the text."""
        text = self.content
        # Most of a stream is text and nothing else.
        if isinstance(text, str) and not (self.reasoning_content or self.reasoning or self.tool_calls or self.refusal):
            if text.strip():
                answer.has_text = True
            return text
        text = self.text
        answer.bytes_unsaid += self.bytes_unsaid
        if self.refusal and isinstance(self.refusal, str):
            answer.is_refused = True
        if self.tool_calls and self._called:
            answer.calls_tool = True
        if text.strip():
            answer.has_text = True
        return text


class _Choice(Struct):
    """What is chosen; an `error` in it is OpenRouter's (openrouter.ai/docs/api-reference/overview)."""

    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None
    error: object = None


class _Completion(Struct):
    """A whole completion or one chunk of it: they differ only in what a choice has."""

    choices: list[_Choice] | None = None
    usage: OpenAIUsage | Odd = None
    model: object = None
    error: object = None

    def first(self, answer: Progress) -> _Choice | None:
        """Return the only choice we asked for, after filling in `answer`; raise what an error says."""
        answer.model = self.model or answer.model
        choice = self.choices[0] if self.choices else None
        if choice is not None:
            answer.ending = choice.finish_reason or answer.ending
        if isinstance(self.usage, OpenAIUsage):
            usage = self.usage.disjoint()
            # Zeros after a count are none.
            if usage != NOTHING or answer.usage == NOTHING:
                answer.usage = usage
                # Some servers send a running count with every chunk.
                answer.is_counted = answer.ending is not None
        error = self.error
        if choice is not None and choice.error and not answer.has_ended_well:
            error = error or choice.error
        # What is empty says nothing, and may stand beside a good answer.
        if not error:
            return choice
        if choice is not None and (message := choice.message or choice.delta):
            # It is not handed on; but it was said.
            text = message.heard(answer)
            answer.bytes_unsaid += size(text)
        raise refusal_within(error)


_COMPLETION: Final = msgspec.json.Decoder(_Completion)
