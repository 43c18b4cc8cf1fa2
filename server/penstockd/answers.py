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
        """Claim `key` for the request of `fingerprint` and return None, or what stands against it.

        That is the answer it was given, or another request: an answered one, or one that has claimed it. Calls of one
        request share the claim; each that got it releases it.
        """

    async def keep(self, tenant: str, key: str, fingerprint: str, answer: Answer) -> None:
        """Remember the answer to the request of `fingerprint`, which has claimed `key`."""

    async def release(self, tenant: str, key: str, fingerprint: str) -> None:
        """Give up one call's share of the claim; with the last of them it ends."""
