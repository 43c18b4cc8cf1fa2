"""Idempotency keys where one process remembers its own."""

import sys
from collections import OrderedDict
from typing import TypeAlias

from msgspec import Struct

from penstockd.answers import Answer
from penstockd.clock import Clock
from penstockd.keyed_answers import KeyedAnswer

KEPT_FOR = 86400.0
"""Seconds from an answer until its key is free again."""
OVERHEAD = 1024
"""Bytes that a key takes beside its answer's text."""

_Id: TypeAlias = tuple[str, str]
"""Tenant and key."""


class Bounds(Struct, frozen=True):
    """The most keys, and bytes, that are remembered."""

    entries: int
    bytes: int


PER_TENANT = Bounds(10_000, 32 * 2**20)
IN_ALL = Bounds(100_000, 256 * 2**20)


class _Claim(Struct):
    """A key that is taken: by which request, and how many calls of it."""

    fingerprint: str
    calls: int = 0


class _Kept(Struct, frozen=True, kw_only=True):
    keyed: KeyedAnswer
    until: float
    size: int


class MemoryIdempotency:
    """Remembers answers by tenant and key, the oldest forgotten first where there would be too many.

    A claim is not among them: it lasts as long as the calls that share it, whatever else is forgotten.
    """

    def __init__(self, clock: Clock, *, per_tenant: Bounds = PER_TENANT, in_all: Bounds = IN_ALL) -> None:
        """Remember nothing yet."""
        self._clock = clock
        self._per_tenant = per_tenant
        self._in_all = in_all
        self._claims: dict[_Id, _Claim] = {}
        self._kept: OrderedDict[_Id, _Kept] = OrderedDict()
        self._by_tenant: dict[str, OrderedDict[_Id, None]] = {}
        self._bytes: dict[str, int] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<MemoryIdempotency {len(self._claims)} claims, {len(self)} answers, {self.bytes} bytes>"

    async def claim(self, tenant: str, key: str, fingerprint: str) -> KeyedAnswer | None:
        """Claim `key` and return None, or what stands against it: an answer, or another request's claim."""
        self._forget_old()
        at = (tenant, key)
        if kept := self._kept.get(at):
            return kept.keyed
        claim = self._claims.setdefault(at, _Claim(fingerprint))
        if claim.fingerprint != fingerprint:
            return KeyedAnswer(fingerprint=claim.fingerprint, answer=None)
        claim.calls += 1
        return None

    async def keep(self, tenant: str, key: str, fingerprint: str, answer: Answer) -> None:
        """Remember the answer to the request of `fingerprint`, which has claimed `key`; the first one stands."""
        at = (tenant, key)
        claim = self._claims.get(at)
        if claim is None or claim.fingerprint != fingerprint or at in self._kept:
            return
        size = sys.getsizeof(answer.text) + OVERHEAD
        keyed = KeyedAnswer(fingerprint=fingerprint, answer=answer)
        self._kept[at] = _Kept(keyed=keyed, until=self._clock.monotonic() + KEPT_FOR, size=size)
        self._by_tenant.setdefault(tenant, OrderedDict())[at] = None
        self._count(tenant, size)
        self._bound(tenant)

    async def release(self, tenant: str, key: str, fingerprint: str) -> None:
        """Give up one call's share of the claim; with the last of them it ends."""
        claim = self._claims.get((tenant, key))
        if claim is None or claim.fingerprint != fingerprint:
            return
        claim.calls -= 1
        if not claim.calls:
            del self._claims[tenant, key]

    def _bound(self, tenant: str) -> None:
        while (keys := self._by_tenant.get(tenant)) and self._is_over(self._per_tenant, len(keys), self._bytes[tenant]):
            self._forget(next(iter(keys)))
        while self._is_over(self._in_all, len(self._kept), self.bytes):
            self._forget(next(iter(self._kept)))

    @staticmethod
    def _is_over(bounds: Bounds, entries: int, size: int) -> bool:
        return entries > bounds.entries or size > bounds.bytes

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._kept:
            at, oldest = next(iter(self._kept.items()))
            if oldest.until > now:
                return
            self._forget(at)

    def _forget(self, at: _Id) -> None:
        kept = self._kept.pop(at, None)
        if kept is None:
            return
        tenant, _ = at
        del self._by_tenant[tenant][at]
        self._count(tenant, -kept.size)
        if not self._by_tenant[tenant]:
            del self._by_tenant[tenant], self._bytes[tenant]

    def _count(self, tenant: str, size: int) -> None:
        self._bytes[tenant] = self._bytes.get(tenant, 0) + size
        self.bytes += size
