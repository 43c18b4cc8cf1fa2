"""The span of one attempt at a model: what was asked of whom, why again, and what came of it."""

from msgspec.structs import replace
from opentelemetry.trace import SpanKind

from penstockd import conventions as names
from penstockd.call import Call, Delta, Handler, Reply
from penstockd.interceptors.attempts import content
from penstockd.interceptors.attempts.choice import Choice
from penstockd.model import Prompt
from penstockd.span import Attributes
from penstockd.tracing import Trace, Within, fail

LONGEST_NAME = 128
"""Characters that are kept of what a provider calls its model."""


async def traced(trace: Trace, choice: Choice, call: Call[Prompt], proceed: Handler[Prompt]) -> None:
    """Proceed with the attempt under a span of its own within `trace`."""
    name = f"{names.CHAT} {choice.model.upstream_name}"
    span = trace.begin(name, SpanKind.CLIENT, _asked(choice, call.request))
    heard: list[str] = []
    if trace.captures_content:
        span.put(content.asked(call.request))
        call = _overheard(call, heard)
    try:
        with Within(span):
            await proceed(call)
    except BaseException as error:
        fail(span, error)
        raise
    finally:
        # A model that was never asked made no attempt; a span that is not ended is not exported.
        if choice.attempt.asked_at is not None:
            span.put(_answered(choice))
            if heard:
                span.put(content.answered("".join(heard), choice.finish_reason))
            span.end()


def _asked(choice: Choice, prompt: Prompt) -> Attributes:
    model, attempt, parameters = choice.model, choice.attempt, prompt.parameters
    attributes: dict[str, str | bool | int | float | tuple[str, ...]] = {
        names.GEN_AI_OPERATION_NAME: names.CHAT,
        names.GEN_AI_PROVIDER_NAME: model.provider,
        names.GEN_AI_REQUEST_MODEL: model.upstream_name,
        names.PENSTOCK_MODEL: model.name,
        names.PENSTOCK_ATTEMPT: attempt.ordinal,
    }
    if parameters.max_output_tokens is not None:
        attributes[names.GEN_AI_REQUEST_MAX_TOKENS] = parameters.max_output_tokens
    if parameters.temperature is not None:
        attributes[names.GEN_AI_REQUEST_TEMPERATURE] = parameters.temperature
    if parameters.top_p is not None:
        attributes[names.GEN_AI_REQUEST_TOP_P] = parameters.top_p
    if prompt.streams:
        attributes[names.GEN_AI_REQUEST_STREAM] = True
    if attempt.reason_before:
        attributes[names.PENSTOCK_RETRY_REASON] = attempt.reason_before
    return attributes


def _answered(choice: Choice) -> Attributes:
    attempt, usage = choice.attempt, choice.attempt.usage
    attributes: dict[str, str | bool | int | float | tuple[str, ...]] = {}
    if usage.total:
        attributes |= {
            names.GEN_AI_USAGE_INPUT_TOKENS: usage.input,
            names.GEN_AI_USAGE_OUTPUT_TOKENS: usage.output,
            names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: usage.cached_input,
            names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: usage.cache_write_input,
            names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: usage.reasoning,
            names.PENSTOCK_USAGE_ESTIMATED: attempt.is_estimated,
        }
    if attempt.response_model:
        attributes[names.GEN_AI_RESPONSE_MODEL] = attempt.response_model[:LONGEST_NAME]
    if choice.finish_reason is not None:
        attributes[names.GEN_AI_RESPONSE_FINISH_REASONS] = (choice.finish_reason,)
    if attempt.asked_at is not None and attempt.first_chunk_at is not None:
        attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = attempt.first_chunk_at - attempt.asked_at
    if attempt.cost_nanousd is not None:
        attributes[names.PENSTOCK_COST] = attempt.cost_nanousd
    return attributes


def _overheard(call: Call[Prompt], heard: list[str]) -> Call[Prompt]:
    """The same call, whose text is written down as it passes."""

    async def send(reply: Reply) -> None:
        if isinstance(reply, Delta):
            heard.append(reply.text)
        await call.send(reply)

    return replace(call, send=send)
