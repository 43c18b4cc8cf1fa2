"""The answers to requests that came under an idempotency key."""

from typing import Protocol

from msgspec import Struct

from penstockd.answers import Answer


class KeyedAnswer(Struct, frozen=True, kw_only=True):
    """A request under an idempotency key; `answer` is None while it is still being made."""

    fingerprint: str
    answer: Answer | None


class KeyedAnswers(Protocol):
    """Remembers the requests of each tenant's idempotency keys for a day."""

    async def claim(self, tenant: str, key: str, fingerprint: str) -> KeyedAnswer | None:
        """Claim `key` for the request of `fingerprint` and return None, or what stands against it.

        That is the answer it was given, or another request: an answered one, or one that has claimed it. Calls of one
        request share the claim; each that got it releases it.
        """

    async def keep(self, tenant: str, key: str, fingerprint: str, answer: Answer) -> None:
        """Remember the answer to the request of `fingerprint`, which has claimed `key`."""

    async def release(self, tenant: str, key: str, fingerprint: str) -> None:
        """Give up one call's share of the claim; with the last of them it ends."""
