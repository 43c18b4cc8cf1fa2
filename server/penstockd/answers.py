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


class Remembered(Struct, frozen=True, kw_only=True):
    """A request under an idempotency key; `answer` is None while it is still being made."""

    fingerprint: str
    answer: Answer | None


class Memory(Protocol):
    """Remembers the requests of each tenant's idempotency keys for a day."""

    async def claim(self, tenant: str, key: str, fingerprint: str) -> Remembered | None:
        """Return what is remembered under `key`; where nothing is, note `fingerprint` and return None."""

    async def keep(self, tenant: str, key: str, fingerprint: str, answer: Answer) -> None:
        """Remember the answer to the request of `fingerprint`, unless another one has claimed `key` since."""

    async def release(self, tenant: str, key: str, fingerprint: str) -> None:
        """Forget that request's claim, which came to no answer."""
