"""Answers in a cache of aiocache's: whatever is wrong with it is a miss."""

from collections.abc import Callable

from aiocache.base import BaseCache

from penstockd.answers import Answer
from penstockd.stores.answers.seal import Seal

JITTER = 0.1
"""The part of its ttl by which an answer may be kept longer or less long, so that not all expire at once."""


class StoredAnswers:
    """Answers, sealed, in a cache of aiocache's, which may fail, and hold what others put there."""

    def __init__(self, cache: BaseCache, seal: Seal, *, random: Callable[[], float]) -> None:
        """`random` draws from [0, 1)."""
        self._cache = cache
        self._seal = seal
        self._random = random

    async def get(self, key: str) -> Answer | None:
        """Return the answer kept under `key`; what lies there and is none is deleted."""
        try:
            value = await self._cache.get(key)
            if value is None:
                return None
            answer = self._seal.open(key, value)
            if answer is None:
                await self._cache.delete(key)
        except Exception:  # noqa: BLE001 - a cache that cannot be asked costs a miss, whatever its reason
            return None
        return answer

    async def put(self, key: str, answer: Answer, ttl: float) -> None:
        """Keep `answer` for `ttl` seconds, give or take a tenth, unless it is too long."""
        value = self._seal.close(key, answer)
        if value is None:
            return
        try:
            await self._cache.set(key, value, ttl=ttl * (1 - JITTER + 2 * JITTER * self._random()))
        except Exception:  # noqa: BLE001 - as above
            return
