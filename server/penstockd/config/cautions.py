"""What people should be told of settings that are served all the same."""

from collections.abc import Iterator
from typing import Final

from penstockd.config.dead_ends import dead_ends
from penstockd.config.grammar import show_duration
from penstockd.config.pepper import weakness
from penstockd.config.settings import Settings

_DAY: Final = 86400.0
_ENOUGH: Final = {
    # A day is dropped when it has ended that long ago: today and these are 31, as many as a month may have.
    "month": (30 * _DAY, "set 30d or more"),
    "total": (3650 * _DAY, "set as long as it is to hold; 3650d or more counts as for ever"),
}
"""The retention that keeps all that budgets of a period count, and what people should do who have less.

Days and hours are never forgotten: what began today is kept one by one.
"""


def cautions(settings: Settings, now: float) -> tuple[str, ...]:
    """All of it, by `now` in unix seconds."""
    return (
        *settings.notes,
        *_careless(settings),
        *dead_ends(settings, now),
        *_forgetful(settings),
    )


def _careless(settings: Settings) -> Iterator[str]:
    """What strangers may guess or overhear, and what keeps nobody out."""
    if settings.key_pepper:
        yield from weakness(settings.key_pepper.reveal(), "key_pepper")
    if settings.server.is_exposed:
        yield f"server.listen: {settings.server.listen} takes calls in plaintext from beyond this machine"
    if not settings.server.requires_certificates:
        for name in (name for name, tenant in settings.tenants.items() if tenant.sans):
            yield f"tenants.{name}.sans: has no effect without server.tls.client_ca"


def _forgetful(settings: Settings) -> Iterator[str]:
    """Budgets that a restart gives back a part of, as the ledger they are counted from forgets it."""
    retention = settings.ledger.retention
    for period, (enough, remedy) in _ENOUGH.items():
        budget = next(_budgets(settings, period), None)
        if budget and retention < enough:
            yield (
                f"ledger.retention: {show_duration(retention)} is all that a restart lets count of a {period} budget, "
                f"such as {budget}: {remedy}"
            )


def _budgets(settings: Settings, period: str) -> Iterator[str]:
    for name, tenant in settings.tenants.items():
        for index, budget in enumerate(tenant.budgets):
            if budget.period == period and not budget.shadow:
                yield f"tenants.{name}.budgets[{index}]"
