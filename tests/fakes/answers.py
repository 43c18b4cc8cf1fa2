"""What the two kinds of provider say, rendered from text and usage."""

from collections.abc import Sequence

import msgspec

from penstockd.usage import Usage


def openai_answer(text: str, usage: Usage | None = None, ending: str = "stop") -> bytes:
    """The body of a whole chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": ending}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt", "choices": [choice]}
    return msgspec.json.encode(body | ({"usage": openai_usage(usage)} if usage else {}))


def openai_events(pieces: Sequence[str], usage: Usage | None = None, ending: str = "stop") -> list[bytes]:
    """The events of a streamed chat completion, as bytes on the wire."""
    deltas = [{"role": "assistant", "content": "", "refusal": None}, *({"content": piece} for piece in pieces), {}]
    endings = [*(None for _ in deltas[1:]), ending]
    chunks = [
        openai_chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": ended}])
        for delta, ended in zip(deltas, endings, strict=True)
    ]
    if usage:
        chunks.append(openai_chunk([], usage=openai_usage(usage)))
    return [*(b"data: " + each + b"\n\n" for each in chunks), b"data: [DONE]\n\n"]


def openai_chunk(choices: object, **more: object) -> bytes:
    """One chunk of a streamed chat completion."""
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": choices}
    return msgspec.json.encode(body | more)


def openai_usage(usage: Usage) -> dict[str, object]:
    """`usage` in OpenAI's words, which have nothing for cache writes."""
    return {
        "prompt_tokens": usage.uncached_input + usage.cached_input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    }


def anthropic_answer(text: str, usage: Usage | None = None, ending: str = "end_turn") -> bytes:
    """The body of a whole message."""
    content = [{"type": "text", "text": text}] if text else []
    body = {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "model": "claude"}
    ended: dict[str, object] = {"stop_reason": ending, "stop_sequence": None}
    return msgspec.json.encode(body | ended | ({"usage": anthropic_usage(usage)} if usage else {}))


def anthropic_events(pieces: Sequence[str], usage: Usage | None = None, ending: str = "end_turn") -> list[bytes]:
    """The events of a streamed message, as bytes on the wire."""
    counts = anthropic_usage(usage) if usage else None
    message: dict[str, object] = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    message["model"] = "claude"
    start = message | ({"usage": counts | {"output_tokens": 1}} if counts else {})
    end = {"output_tokens": usage.output} if usage else None
    return [
        anthropic_event("message_start", message=start),
        anthropic_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        anthropic_event("ping"),
        *(
            anthropic_event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces
        ),
        anthropic_event("content_block_stop", index=0),
        anthropic_event("message_delta", delta={"stop_reason": ending, "stop_sequence": None}, usage=end),
        anthropic_event("message_stop"),
    ]


def anthropic_event(kind: str, **fields: object) -> bytes:
    """One event of a streamed message, as bytes on the wire."""
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


def anthropic_usage(usage: Usage) -> dict[str, object]:
    """`usage` in Anthropic's words."""
    return {
        "input_tokens": usage.uncached_input,
        "cache_read_input_tokens": usage.cached_input,
        "cache_creation_input_tokens": usage.cache_write_input,
        "output_tokens": usage.output,
        "service_tier": "standard",
    }
