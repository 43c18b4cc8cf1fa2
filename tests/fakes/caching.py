"""Places for answers, and agents whose answers are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fakes.clock import FakeClock
from penstockd.agent import Caching
from penstockd.answers import Answer
from penstockd.call import Call
from penstockd.outcome import FinishReason
from penstockd.request import DEFAULTS, Parameters, Request
from penstockd.stores.answers.memory_answers import MemoryAnswers
from penstockd.stores.answers.seal import Seal

SECRET = b"0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class KeptAgent:
    """An agent as the cache sees it; it never answers by itself."""

    name: str = "default"
    caching: Caching | None = field(default_factory=lambda: Caching(ttl=300.0))
    fingerprint: str = "1"
    parameters: Parameters = DEFAULTS
    description: str = ""
    models: Sequence[str] = ()
    streams: bool = True

    async def __call__(self, call: Call[Request]) -> None:
        raise AssertionError("the cache does not call agents")


def answers(clock: FakeClock, *, max_entries: int = 1000, max_bytes: int = 2**20) -> MemoryAnswers:
    """A place in memory, whose jitter draws the middle."""
    return MemoryAnswers(Seal(SECRET), max_entries=max_entries, max_bytes=max_bytes, clock=clock, random=lambda: 0.5)


def answer(text: str = "hello", reason: FinishReason = FinishReason.STOP) -> Answer:
    """An answer of some model."""
    return Answer(text=text, finish_reason=reason, model="m")
