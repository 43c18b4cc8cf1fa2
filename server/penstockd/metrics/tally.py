"""How the calls of each tenant ended, and why: what no metric tells, as the page shows it and nobody scrapes it."""

from collections import Counter

from penstockd.call import GENERATING, Call
from penstockd.errors import REASONS
from penstockd.metrics.tenant_labels import TenantLabels

_TOLD = REASONS | {""}


class Tally:
    """Counts the calls that ask an agent, by tenant, status and reason; of as many tenants as metrics tell apart."""

    def __init__(self, tenants: TenantLabels) -> None:
        """Count nothing yet."""
        self._tenants = tenants
        self.ended_by: Counter[tuple[str, ...]] = Counter()

    def ended(self, call: Call[object], code: str, reason: str) -> None:
        """Count a call; one whose caller nobody knows is nobody's, whose name is empty.

        A reason that is not ours is told as the code: agents may think of any number.
        """
        if call.method in GENERATING:
            tenant = call.tenant
            self.ended_by[tenant and self._tenants.of(tenant), code, reason if reason in _TOLD else code] += 1
