"""Finished answers as they are kept and given again."""

from typing import Protocol

from msgspec import Struct

from penstockd.outcome import FinishReason


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer: its text, why it ended, and the model that gave it."""

    text: str
    finish_reason: FinishReason
    model: str


class Answers(Protocol):
    """Keeps answers by key for a while. Any fault of it is a miss: no method raises."""

    async def get(self, tenant: str, key: str) -> Answer | None:
        """Return the answer kept under `key`, if it is there and unharmed."""

    async def put(self, tenant: str, key: str, answer: Answer, ttl: float) -> None:
        """Keep `answer` for about `ttl` seconds, if there is room for it."""


class Remembered(Struct, frozen=True, kw_only=True):
    """A request under an idempotency key; `answer` is None while it is still being made."""

    fingerprint: str
    answer: Answer | None


class Memory(Protocol):
    """Remembers the requests of each tenant's idempotency keys for a day."""

    async def claim(self, tenant: str, key: str, fingerprint: str) -> Remembered | None:
        """Return what is remembered under `key`; where nothing is, note `fingerprint` and return None."""

    async def keep(self, tenant: str, key: str, answer: Answer) -> None:
        """Remember the answer to the request that claimed `key`."""

    async def release(self, tenant: str, key: str) -> None:
        """Forget a claim that came to no answer."""
