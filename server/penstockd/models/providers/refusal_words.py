"""By which labels and words providers say why they refuse, and who says it so."""

import re
from typing import Final

# "blocked_api_access" is Groq's for a spend limit (console.groq.com/docs/spend-limits).
QUOTA: Final = frozenset(
    (
        "insufficient_quota",
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "blocked_api_access",
    )
)
CLOSED: Final = frozenset(("invalid_api_key", "organization_restricted", "access_terminated"))
# "flagged_input" is what OpenRouter tells of it beside the words (openrouter.ai/docs/api-reference/errors).
FILTER: Final = frozenset(
    ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "flagged_input")
)
TOO_LONG: Final = frozenset(("context_length_exceeded", "exceed_context_size_error"))

# In this order: Anthropic's, DeepSeek's, Anthropic's spend limits, xAI's (429) and Fireworks' (412), Portkey's (412).
QUOTA_WORDS = re.compile(
    r"credit balance is too low|insufficient balance"
    r"|reached your specified (workspace )?api usage limits(\. you will regain access on [\d-]+)?"
    r"|(used all available credits or )?reach(ed|ing) (its|the) monthly spending limit"
    r"|^(portkey error: )?budget exhausted",
    re.IGNORECASE,
)
# They begin a message: further on it may repeat what was asked. Why an account is closed reads otherwise.
FILTER_WORDS = re.compile(
    r"(.*output blocked by )?content filtering policy"  # Anthropic, and who repeats it
    r"|content violates usage guidelines"  # xAI, with a 403
    r"|(your chosen model|[\w./:@-]{1,128}) requires moderation\b"  # OpenRouter, with a 403
    r"|invalid prompt: your prompt was flagged"  # OpenAI
    r"|(prompt|response) blocked due to",  # Cloudflare, with a 424
    re.IGNORECASE,
)
SAFETY_CHECK = re.compile(r"safety_check_type_\w+", re.IGNORECASE)
"""What xAI names at the end of a 403 that is about a prompt."""
# Google's, Anthropic's, Google's, each with a 400. They begin a message: further on it may repeat what was asked.
CLOSED_WORDS = re.compile(
    r"api key not valid|this organization has been disabled|user location is not supported", re.IGNORECASE
)
# Anywhere in a message, for there are many who repeat these. Limits of tokens a minute are told otherwise.
TOO_LONG_WORDS = re.compile(
    r"prompt is too long"  # Anthropic
    r"|maximum context length"  # OpenAI, vLLM, SGLang, OpenRouter
    r"|exceeds? (the )?(available )?context"  # Anthropic, llama.cpp
    r"|request too large for"  # OpenAI, Groq
    r"|input token count .* exceeds"  # Google
    r"|long context requests",  # Anthropic
    re.IGNORECASE,
)
# These begin a message: further on it may repeat what was asked.
TOO_LONG_BEGINNINGS = re.compile(
    r"this model's maximum prompt length is"  # xAI
    r"|input is too long for requested model"  # Bedrock
    r"|the (decoder |encoder )?prompt \([^)]*\) is longer than the maximum model length"  # vLLM
    r"|the prompt \([^)]*\) is too long to fit into the model"  # vLLM
    r"|you passed \d+ input tokens.*context length is only"  # vLLM
    r"|the input \(\d+ tokens\) is longer than the model's context length"  # SGLang
    r"|trying to keep the first \d+ tokens.*context length of only"  # LM Studio
    r"|context (size|length|window) (has been |was )?exceeded"  # LM Studio, llama.cpp
    r"|input validation error: `inputs` tokens \+ `max_new_tokens` must be"  # Hugging Face
    r"|input validation error: `inputs` must have less than"  # Hugging Face
    r"|too many tokens: total number of tokens in the prompt cannot exceed"  # Cohere
    r"|input tokens exceed the configured limit",  # OpenAI
    re.IGNORECASE,
)
SIZES = re.compile(r"limit:? ([\d,]+).*requested:? ([\d,]+)", re.IGNORECASE | re.DOTALL)

STATUSES: Final = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "server_error": 500,
}
"""The HTTP status that an error type or code has when it comes before the stream and not inside it."""
