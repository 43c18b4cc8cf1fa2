"""How OpenAI, and those who speak its dialect, count tokens."""

from msgspec import Struct

from penstockd.models.providers.dialect import Odd, tokens
from penstockd.usage import Usage


class _PromptDetails(Struct):
    cached_tokens: object = None
    cache_write_tokens: object = None


class _CompletionDetails(Struct):
    reasoning_tokens: object = None


class OpenAIUsage(Struct):
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
            reasoning=min(reasoning, output) if reasoning else 0,
        )
