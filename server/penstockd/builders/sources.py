"""Says where the parts of a snapshot come from."""

from math import isnan, nan

from penstockd.health import Health
from penstockd.snapshot.take import Sources
from penstockd.state import State
from penstockd.succession import Succession
from penstockd.tls import CertificateFiles


def sources(*, succession: Succession, state: State, health: Health, certificates: CertificateFiles | None) -> Sources:
    """Return them; what a reload replaces is that of whichever configuration is in service."""

    def has_cache() -> bool:
        return succession.present is not None and succession.present.settings.cache.enabled

    def certificate_expires_at() -> float | None:
        moment = certificates.expires_at if certificates is not None else nan
        return None if isnan(moment) else moment

    return Sources(
        models=lambda: succession.models,
        environment=lambda: succession.present.settings.environment if succession.present else "",
        has_cache=has_cache,
        refused=lambda: succession.refused,
        standings=lambda: state.budgets.fullest,
        health=health,
        ledger=state.ledger,
        in_flight=state.in_flight,
        cache=state.answers.cache,
        lookups=state.lookups,
        flights=state.flights,
        replays=state.replays,
        keyed_flights=state.keyed_flights,
        changes=state.changes,
        certificate_expires_at=certificate_expires_at,
    )
