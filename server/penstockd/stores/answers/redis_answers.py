"""Answers that all replicas share."""

from collections.abc import Callable

from aiocache.backends.redis import RedisCache
from aiocache.serializers import NullSerializer
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from penstockd.stores.answers.seal import Seal
from penstockd.stores.answers.stored_answers import StoredAnswers

PREFIX = "penstock:answers"
TIMEOUT = 0.1
"""Seconds that a connection, and then one command, may take: an answer that comes later is a miss."""
CONNECTIONS = 32
BATCH = 500
"""Keys that are looked at, or forgotten, in one command."""


class RedisAnswers(StoredAnswers):
    """Answers in a Redis, which bounds itself (`maxmemory`); a late or failing one is a miss.

    No daemon uses it before the setting `redis_url` is supported.
    """

    def __init__(self, url: str, seal: Seal, *, random: Callable[[], float]) -> None:
        """Connect to `url` when first asked."""
        # The pool is made here, and not by aiocache, which takes neither a URL nor a retry policy: redis-py's own
        # would hold a call for as long as a frozen server takes.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._pool = pool
        self._redis = RedisCache(
            serializer=NullSerializer(encoding=None),
            namespace=PREFIX,
            timeout=2 * TIMEOUT,
            connection_pool_class=lambda **_: pool,
        )
        super().__init__(self._redis, seal, random=random)

    async def purge(self, *, tenant: str = "", agent: str = "") -> int:
        """Forget the answers of `tenant` and `agent`, empty being all of them; return how many there were."""
        client, count = self._redis.client, 0
        keys: list[bytes] = []
        async for key in client.scan_iter(match=f"{PREFIX}:{tenant or '*'}:{agent or '*'}:*", count=BATCH):
            keys.append(key)
            if len(keys) == BATCH:
                count += await client.unlink(*keys)
                keys.clear()
        return count + (await client.unlink(*keys) if keys else 0)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
