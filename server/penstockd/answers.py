"""Finished answers as they are kept and given again."""

from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from penstockd.outcome import FinishReason


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer: its text, why it ended, and the model that gave it."""

    text: str
    finish_reason: FinishReason
    model: str


class Answers(Protocol):
    """Keeps answers for a while by keys that start with the tenant. Any fault in reading or writing is a miss."""

    async def get(self, key: str) -> Answer | None:
        """Return the answer kept under `key`, if it is there and unharmed."""

    async def put(self, key: str, answer: Answer, ttl: float) -> None:
        """Keep `answer` for about `ttl` seconds, if there is room for it."""

    async def purge(self, *, tenant: str = "", agent: str = "") -> int:
        """Forget the answers of `tenant` and `agent`, empty being all of them; return how many there were."""


@dataclass(slots=True)
class Lookups:
    """How often an answer was looked for and found, or not."""

    hits: int = 0
    misses: int = 0
