"""How the calls of each tenant ended: what no metric tells, as the page shows it and nobody scrapes it."""

from collections import Counter

from penstockd.call import GENERATING, Call
from penstockd.metrics.tenant_labels import TenantLabels


class Tally:
    """Counts the calls that ask an agent, by tenant and status; of as many tenants as metrics tell apart."""

    def __init__(self, tenants: TenantLabels) -> None:
        """Count nothing yet."""
        self._tenants = tenants
        self.ended_by: Counter[tuple[str, ...]] = Counter()

    def ended(self, call: Call[object], code: str) -> None:
        """Count a call; one whose caller nobody knows is nobody's."""
        tenant = call.tenant
        if tenant and call.method in GENERATING:
            self.ended_by[self._tenants.of(tenant), code] += 1
