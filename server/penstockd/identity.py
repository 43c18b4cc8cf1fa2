"""Who a caller is, by its key and its certificate, or why it is not believed."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from math import inf
from typing import TypeAlias

from msgspec import Struct

from penstockd import api_key
from penstockd.principal import Principal


class Refusal(StrEnum):
    """Why a caller is not believed: for operators, in a counter and in the log, never for the caller."""

    MISSING = "missing"
    DOUBLED = "doubled"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CERTIFICATE = "certificate"
    CONFLICT = "conflict"


Identify: TypeAlias = Callable[[Sequence[str], Sequence[str] | None, float], Principal | Refusal]
"""From a call's `authorization` values, the names in its certificate (None: its port asks for none), and the time in
unix seconds."""


class Key(Struct, frozen=True, kw_only=True):
    """A key by its digest, and who shows it until `expires_at`, unix seconds."""

    hash: str
    principal: Principal
    expires_at: float = inf


class Identities:
    """The callers of one configuration; of what it is asked it keeps nothing but seals of keys that it knows."""

    def __init__(
        self, *, pepper: str, keys: Iterable[Key], tenants: Mapping[str, str], anonymous: Principal | None
    ) -> None:
        """`tenants` are by the names in their certificates; `anonymous` is who shows nothing, if that is anybody."""
        self._digest = api_key.digester(pepper)
        self._keys = {key.hash: key for key in keys}
        # A key that was shown is known again by a seal that a busy daemon makes in a third of the time that the digest
        # takes; nobody else has what it is made with, and it tells nobody the key.
        self._sealing = blake2b(key=secrets.token_bytes(), digest_size=32)
        self._known: dict[bytes, Key] = {}
        self._tenants = tenants
        self._anonymous = anonymous

    def identify(self, authorization: Sequence[str], sans: Sequence[str] | None, now: float) -> Principal | Refusal:
        """Return the caller, or why it is not believed; what is shown twice or contradicts itself is not."""
        if len(authorization) > 1:
            return Refusal.DOUBLED
        by_key = self._by_key(authorization[0], now) if authorization else None
        if sans is None:
            return by_key or self._anonymous or Refusal.MISSING
        by_certificate = self._by_certificate(sans)
        match by_certificate, by_key:
            case (Refusal() as refusal, _) | (_, Refusal() as refusal):
                return refusal
            case Principal(tenant=tenant), Principal(tenant=other) if tenant != other:
                return Refusal.CONFLICT
        return by_key or by_certificate

    def _by_certificate(self, sans: Sequence[str]) -> Principal | Refusal:
        tenants = {self._tenants[san] for san in sans if san in self._tenants}
        if len(tenants) > 1:
            return Refusal.CONFLICT
        return Principal(tenant=tenants.pop()) if tenants else Refusal.CERTIFICATE

    def _by_key(self, authorization: str, now: float) -> Principal | Refusal:
        if len(authorization) != len("Bearer ") + api_key.LENGTH:
            return Refusal.MALFORMED  # before any work that grows with what is sent
        sealing = self._sealing.copy()
        sealing.update(authorization.encode(errors="replace"))
        seal = sealing.digest()
        key = self._known.get(seal)
        if key is None:
            scheme, _, text = authorization.partition(" ")
            if scheme.lower() != "bearer" or not api_key.has_form(text):
                return Refusal.MALFORMED
            key = self._keys.get(self._digest(text))
            if key is None:
                # Only now, as the checksum costs more than the digest.
                return Refusal.UNKNOWN if api_key.is_well_formed(text) else Refusal.MALFORMED
            self._known[seal] = key
        return key.principal if now < key.expires_at else Refusal.EXPIRED


def everyone_is(principal: Principal) -> Identify:
    """Development's way without tenants: whoever calls is `principal`, whatever it shows."""

    def identify(authorization: Sequence[str], _sans: Sequence[str] | None, _now: float) -> Principal | Refusal:
        return Refusal.DOUBLED if len(authorization) > 1 else principal

    return identify
