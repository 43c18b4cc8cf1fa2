"""Tokens a model used, in disjoint buckets, so that each is priced once."""

from msgspec import Struct


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one or several model calls; `reasoning` is a part of `output`, the rest are disjoint."""

    uncached_input: int = 0
    cached_input: int = 0
    cache_write_input: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All input tokens, cached and cache-write ones included."""
        return self.uncached_input + self.cached_input + self.cache_write_input

    @property
    def total(self) -> int:
        """Input and output tokens."""
        return self.uncached_input + self.cached_input + self.cache_write_input + self.output

    def __add__(self, other: "Usage") -> "Usage":
        """Add bucket by bucket."""
        return Usage(
            uncached_input=self.uncached_input + other.uncached_input,
            cached_input=self.cached_input + other.cached_input,
            cache_write_input=self.cache_write_input + other.cache_write_input,
            output=self.output + other.output,
            reasoning=self.reasoning + other.reasoning,
        )


NOTHING = Usage()
