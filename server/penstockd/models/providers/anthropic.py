"""Anthropic's Messages API (docs.anthropic.com/en/api/messages)."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from penstockd.clock import Clock
from penstockd.model import Prompt
from penstockd.models.providers.chat import Chat
from penstockd.models.providers.dialect import Odd, Progress, decoded, encoded, is_count, size, tokens
from penstockd.models.providers.refusal import refusal_within
from penstockd.models.providers.wire import Target, Wire
from penstockd.upstream import Broken
from penstockd.usage import Usage

BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"


def anthropic(target: Target, *, model: str, clock: Clock, body: Mapping[str, object]) -> Chat:
    """A provider that asks `model` at a server which speaks Anthropic's Messages API; /v1 may end its URL.

    `body` is added to each request's. Raises ValueError, or OSError for the target's CA file.
    """
    path = "/messages" if target.base_url.rstrip("/").endswith("/v1") else "/v1/messages"
    headers = {"anthropic-version": VERSION} | ({"x-api-key": target.api_key} if target.api_key else {})
    wire = Wire(target, path=path, headers=headers, trust=target.trust())
    return Chat(Anthropic(model=model, body=body), wire, clock)


class Anthropic:
    """The dialect of the Messages API. It has no seed, and joins consecutive turns of one role by itself."""

    def __init__(self, *, model: str, body: Mapping[str, object]) -> None:
        """`body` has what else to send; what a prompt says comes over it."""
        self._body = {**body, "model": model}

    def request(self, prompt: Prompt) -> bytes:
        """The body that asks for an answer to `prompt`."""
        parameters = prompt.parameters
        body = {**self._body, "messages": prompt.turns}
        if prompt.instructions:
            body["system"] = prompt.instructions
        if parameters.max_output_tokens is not None:
            body["max_tokens"] = parameters.max_output_tokens
        if parameters.temperature is not None:
            body["temperature"] = parameters.temperature
        if parameters.top_p is not None:
            body["top_p"] = parameters.top_p
        if parameters.stop:
            body["stop_sequences"] = parameters.stop
        if prompt.streams:
            body["stream"] = True
        return encoded(body)

    def read(self, body: bytes, answer: Progress) -> str:
        """Read an answer that came in one piece: fill in `answer`, return its text."""
        message = decoded(_MESSAGE, body)
        answer.ending, answer.model = message.stop_reason, message.model
        _note(message.usage, answer)
        answer.is_counted = isinstance(message.usage, _Usage)
        if message.error:
            raise refusal_within(message.error)
        if message.content is None:
            # Why it ended may be why nothing was said: a refusal, for example.
            if answer.ending is not None:
                answer.finish_reason()
            raise Broken("the answer has no content", reason="malformed")
        return "".join(block.heard("text", answer) for block in message.content)

    def read_event(self, event: bytes, answer: Progress) -> str:
        """Read one event of a streamed answer: fill in `answer`, return the text that the event adds."""
        said = _event(event)
        match said.type:
            case "content_block_delta" if said.delta is not None:
                return said.delta.heard("text_delta", answer)
            case "content_block_start" if said.content_block is not None:
                return said.content_block.heard("text", answer)
            case "message_start" if said.message is not None:
                answer.model = said.message.model
                _note(said.message.usage, answer)
            case "message_delta":
                _note(said.usage, answer)
                answer.ending = (said.delta and said.delta.stop_reason) or answer.ending
                # Output is counted from the start on: only the count that comes with the end is of all of it.
                answer.is_counted = answer.ending is not None and _counts_output(said.usage)
            case "message_stop":
                answer.is_whole = True
            case "error":
                raise refusal_within(said.error)
        return ""


def _event(data: bytes) -> "_Event":
    try:
        return decoded(_EVENT, data)
    except Broken:
        # Of an event whose fields are not read, those of our names may be anything.
        bare = decoded(_BARE, data)
        if bare.type in _READ:
            raise
        return _Event(type=bare.type, error=bare.error)


def _note(usage: "_Usage | Odd", answer: Progress) -> None:
    if isinstance(usage, _Usage):
        answer.usage = usage.over(answer.usage)


def _counts_output(usage: "_Usage | Odd") -> bool:
    return isinstance(usage, _Usage) and is_count(usage.output_tokens)


class _Usage(Struct):
    """Counts are cumulative, and input_tokens excludes what was read from or written to the cache."""

    input_tokens: object = None
    output_tokens: object = None
    cache_read_input_tokens: object = None
    cache_creation_input_tokens: object = None

    def over(self, known: Usage) -> Usage:
        """These counts, and `known` where these are silent."""
        return Usage(
            uncached_input=_newer(self.input_tokens, known.uncached_input),
            cached_input=_newer(self.cache_read_input_tokens, known.cached_input),
            cache_write_input=_newer(self.cache_creation_input_tokens, known.cache_write_input),
            output=_newer(self.output_tokens, known.output),
        )


def _newer(count: object, known: int) -> int:
    return tokens(count) if is_count(count) else known


class _Block(Struct):
    """A block of content, or more of it.

    What is shown of thinking may be a summary, or nothing; `signature` and `data` hold all of it, encrypted.
    """

    type: str | None = None
    text: object = None
    thinking: object = None
    signature: object = None
    data: object = None
    partial_json: object = None

    @property
    def bytes_unsaid(self) -> int:
        """Thinking, shown or encrypted, and what is said to tools."""
        return size(self.thinking) + size(self.signature) + size(self.data) + size(self.partial_json)

    def heard(self, kind: str, answer: Progress) -> str:
        """Return the text if it is of this `kind`, else fill in `answer`: under that name others may have anything."""
        text = self.text
        if self.type != kind or text is None:
            answer.bytes_unsaid += self.bytes_unsaid
            return ""
        if not isinstance(text, str):
            raise Broken("a text is none", reason="malformed")
        return text


class _Delta(_Block):
    stop_reason: str | None = None


class _Message(Struct):
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | Odd = None
    model: object = None
    error: object = None


class _Bare(Struct):
    """An event whose other fields are not read."""

    type: str = ""
    error: object = None


class _Event(_Bare):
    """Any event: one flat shape, since events of types unknown to us must be ignored."""

    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | Odd = None


_MESSAGE: Final = msgspec.json.Decoder(_Message)
_EVENT: Final = msgspec.json.Decoder(_Event)
_BARE: Final = msgspec.json.Decoder(_Bare)
_READ: Final = frozenset(("content_block_delta", "content_block_start", "message_start", "message_delta"))
"""The types of events of which more is read."""
