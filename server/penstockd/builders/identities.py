"""Builds the callers that the settings describe."""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from math import inf

from penstockd.config import KeySettings, Settings
from penstockd.config.tenant_settings import NOBODY_KNOWN
from penstockd.identity import Identify, Identities, Key, everyone_is
from penstockd.principal import KeyRole, Principal


def identify(settings: Settings) -> Identify:
    """Return what tells callers apart: their keys and certificates, or in development without tenants nothing."""
    if settings.admits_strangers and not settings.tenants:
        return everyone_is(Principal(tenant=NOBODY_KNOWN, role=KeyRole.OPERATOR))
    return Identities(
        pepper=settings.key_pepper.reveal() if settings.key_pepper else "",
        keys=_keys(settings),
        tenants={san: name for name, tenant in settings.tenants.items() for san in tenant.sans},
        anonymous=Principal(tenant=NOBODY_KNOWN) if settings.admits_strangers else None,
    ).identify


def _keys(settings: Settings) -> Iterator[Key]:
    for tenant, its in settings.tenants.items():
        for key in its.keys:
            yield Key(hash=key.hash, principal=_principal(tenant, key), expires_at=_expiry(key))


def _principal(tenant: str, key: KeySettings) -> Principal:
    return Principal(
        tenant=tenant,
        key=key.name,
        role=KeyRole.OPERATOR if key.role == "operator" else KeyRole.CALLER,
        agents=None if key.agents is None else frozenset(key.agents),
    )


def _expiry(key: KeySettings) -> float:
    """The beginning of the day on which the key expires, UTC."""
    return inf if key.expires is None else datetime.combine(key.expires, time(), UTC).timestamp()
