"""aiocache's memory cache within bounds, and without its timer for every key."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from math import inf

from aiocache.backends.memory import SimpleMemoryCache
from msgspec import Struct

from penstockd.answer_keys import owner
from penstockd.clock import Clock

OVERHEAD = 512
"""Bytes that an entry takes beside its key and its value."""
SWEPT = 1000
"""Entries that one sweep looks at."""


class _Entry(Struct, frozen=True):
    value: bytes
    expires_at: float


class BoundedMemoryCache(SimpleMemoryCache):
    """Forgets the least recently used entries where there would be too many, and those whose time is over.

    Only get, set, delete and clear are its business, and they are overridden whole: the plugins, timeouts and
    serializers that aiocache puts around them cost several times what they do. Time is looked at when an entry is asked
    for, and in sweeps.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, clock: Clock) -> None:
        """Start empty."""
        super().__init__()  # type: ignore[no-untyped-call]  # it has no types
        self.bytes = 0
        self.evictions = 0
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._unswept: Iterator[str] = iter(())

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<BoundedMemoryCache {len(self)}/{self.max_entries} entries, {self.bytes}/{self.max_bytes} bytes>"

    def limit(self, *, max_entries: int, max_bytes: int) -> None:
        """Change the bounds, and keep them at once."""
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self._evict()

    def sweep(self) -> None:
        """Forget those whose time is over among the next few, in rounds that see every entry."""
        now = self._clock.monotonic()
        keys = list(islice(self._unswept, SWEPT))
        for key, entry in zip(keys, map(self._entries.get, keys), strict=True):
            if entry is not None and entry.expires_at <= now:
                self._remove(key)
        if len(keys) < SWEPT:
            self._unswept = iter(tuple(self._entries))

    def purge(self, *, tenant: str, agent: str) -> int:
        """Forget the entries whose keys belong to `tenant` and `agent`, empty being all; return how many."""
        wanted = [key for key in self._entries if _is_of(key, tenant, agent)]
        for key in wanted:
            self._remove(key)
        return len(wanted)

    async def get(self, key: str) -> bytes | None:
        """Return the value of `key`, if its time is not over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= self._clock.monotonic():
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def set(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        """Keep `value` for `ttl` seconds; return whether there is room for it."""
        if key in self._entries:
            self._remove(key)
        size = _size(key, value)
        if size > self.max_bytes:
            return False
        expires_at = inf if ttl is None else self._clock.monotonic() + ttl
        self._entries[key] = _Entry(value, expires_at)
        self.bytes += size
        self._evict()
        return True

    async def delete(self, key: str) -> int:
        """Forget `key`; return how many entries that was."""
        return self._remove(key)

    async def clear(self) -> bool:
        """Forget everything."""
        self._entries.clear()
        self.bytes = 0
        return True

    def _evict(self) -> None:
        while len(self._entries) > self.max_entries or self.bytes > self.max_bytes:
            self._remove(next(iter(self._entries)))
            self.evictions += 1

    def _remove(self, key: str) -> int:
        entry = self._entries.pop(key, None)
        if entry is None:
            return 0
        self.bytes -= _size(key, entry.value)
        return 1


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + OVERHEAD


def _is_of(key: str, tenant: str, agent: str) -> bool:
    of_tenant, of_agent = owner(key)
    return tenant in ("", of_tenant) and agent in ("", of_agent)
