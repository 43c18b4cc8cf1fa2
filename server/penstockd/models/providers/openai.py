"""OpenAI's chat completions, and every server that speaks them (platform.openai.com/docs/api-reference/chat)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from penstockd.clock import Clock
from penstockd.model import Prompt
from penstockd.models.providers.chat import Chat
from penstockd.models.providers.dialect import NOTHING_MORE, Odd, Progress, decoded, size, tokens
from penstockd.models.providers.refusal import refusal_within
from penstockd.models.providers.wire import Target, Wire
from penstockd.upstream import Broken
from penstockd.usage import Usage

BASE_URL = "https://api.openai.com/v1"


def openai(
    target: Target,
    *,
    model: str,
    clock: Clock,
    max_tokens_field: str | None = None,
    body: Mapping[str, object] = NOTHING_MORE,
) -> Chat:
    """A provider that asks `model` at a server which speaks OpenAI's chat completions.

    `body` is added to each request's.
    """
    key = {"authorization": f"Bearer {target.api_key}"} if target.api_key else {}
    field = max_tokens_field or max_tokens_field_of(target.base_url)
    dialect = OpenAI(model=model, max_tokens_field=field, body=body)
    return Chat(dialect, Wire(target, path="/chat/completions", headers=key), clock)


def max_tokens_field_of(base_url: str) -> str:
    """The name of the field that bounds the output at `base_url`.

    Every compatible server takes max_tokens; OpenAI's own newer models refuse it, and all of them take the other.
    """
    return "max_completion_tokens" if urlsplit(base_url).hostname == urlsplit(BASE_URL).hostname else "max_tokens"


class OpenAI:
    """The dialect of chat completions."""

    def __init__(
        self, *, model: str, max_tokens_field: str = "max_tokens", body: Mapping[str, object] = NOTHING_MORE
    ) -> None:
        """`body` has what else to send; what a prompt says comes over it."""
        self._model = model
        self._max_tokens_field = max_tokens_field
        self._body = body

    def request(self, prompt: Prompt) -> bytes:
        """The body that asks for an answer to `prompt`."""
        parameters = prompt.parameters
        messages = [{"role": turn.role, "content": turn.content} for turn in prompt.turns]
        if prompt.instructions:
            messages.insert(0, {"role": "system", "content": prompt.instructions})
        body: dict[str, object] = {
            "model": self._model,
            "messages": messages,
            self._max_tokens_field: parameters.max_output_tokens,
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "stop": parameters.stop or None,
            "seed": parameters.seed,
        }
        if prompt.streams:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        said = {name: value for name, value in body.items() if value is not None}
        return msgspec.json.encode({**self._body, **said})

    def read(self, body: bytes, answer: Progress) -> str:
        """Read an answer that came in one piece: fill in `answer`, return its text."""
        completion = decoded(_COMPLETION, body)
        choice = completion.first(answer)
        answer.is_counted = isinstance(completion.usage, _Usage)
        if choice is None or choice.message is None:
            # Why it ended may be why nothing was said: a filter, for example.
            if answer.ending is not None:
                answer.finish_reason()
            raise Broken("the answer has no message", reason="malformed")
        answer.bytes_unsaid = choice.message.bytes_unsaid
        return choice.message.text

    def read_event(self, event: bytes, answer: Progress) -> str:
        """Read one event of a streamed answer: fill in `answer`, return the text that the event adds."""
        if event.strip() == b"[DONE]":
            answer.is_whole = True
            return ""
        choice = decoded(_COMPLETION, event).first(answer)
        if choice is None or choice.delta is None:
            return ""
        answer.bytes_unsaid += choice.delta.bytes_unsaid
        return choice.delta.text


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

    Models of Mistral that reason say it in parts (docs.mistral.ai/capabilities/reasoning).
    """

    content: str | list[_Part] | None = None
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
        called = [call.function for call in self.tool_calls or () if call.function]
        asked = sum(size(function.name) + size(function.arguments) for function in called)
        parts = self.content if isinstance(self.content, list) else ()
        thought = sum(part.bytes_unsaid for part in parts)
        return max(size(self.reasoning_content), size(self.reasoning)) + thought + asked


class _Choice(Struct):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _PromptDetails(Struct):
    cached_tokens: object = None
    cache_write_tokens: object = None


class _CompletionDetails(Struct):
    reasoning_tokens: object = None


class _Usage(Struct):
    """OpenAI counts writes to the cache (developers.openai.com/api/docs/guides/prompt-caching), as does OpenRouter."""

    prompt_tokens: object = None
    completion_tokens: object = None
    total_tokens: object = None
    prompt_tokens_details: _PromptDetails | Odd = None
    completion_tokens_details: _CompletionDetails | Odd = None

    def disjoint(self) -> Usage:
        """What was read from or written to the cache is among the prompt's tokens, reasoning among the completion's.

        At xAI it is not: only the total has it (docs.x.ai/docs/key-information/consumption-and-rate-limits).
        """
        everything, output = tokens(self.prompt_tokens), tokens(self.completion_tokens)
        of_prompt, of_completion = self.prompt_tokens_details, self.completion_tokens_details
        cached = written = reasoning = 0
        if isinstance(of_prompt, _PromptDetails):
            cached = min(tokens(of_prompt.cached_tokens), everything)
            written = min(tokens(of_prompt.cache_write_tokens), everything - cached)
        if isinstance(of_completion, _CompletionDetails):
            reasoning = tokens(of_completion.reasoning_tokens)
        if reasoning and tokens(self.total_tokens) == everything + output + reasoning:
            output += reasoning
        return Usage(
            uncached_input=everything - cached - written,
            cached_input=cached,
            cache_write_input=written,
            output=output,
            reasoning=min(reasoning, output),
        )


class _Completion(Struct):
    """A whole completion or one chunk of it: they differ only in what a choice has."""

    choices: list[_Choice] | None = None
    usage: _Usage | Odd = None
    model: object = None
    error: object = None

    def first(self, answer: Progress) -> _Choice | None:
        """Return the only choice we asked for, after filling in `answer`; raise what an error says."""
        answer.model = self.model or answer.model
        choice = self.choices[0] if self.choices else None
        if choice is not None:
            answer.ending = choice.finish_reason or answer.ending
        if isinstance(self.usage, _Usage):
            answer.usage = self.usage.disjoint()
            # Some servers send a running count with every chunk.
            answer.is_counted = answer.ending is not None
        if self.error is not None:
            raise refusal_within(self.error)
        return choice


_COMPLETION: Final = msgspec.json.Decoder(_Completion)
