"""Keeps the tenants that metrics tell apart to a few, however many there are."""

from collections import Counter
from collections.abc import Callable

from penstockd.metrics.instruments import OTHER

FIRST = 50
"""Tenants that get a label of their own as they come."""
BUSY = 50
"""Places that are kept beside those for tenants that come later, and turn out to be busy."""
BUSY_USES = 30
"""Times that a busy tenant is counted in one stretch, which is about a minute: one that floods is, soon. A call is
counted two to four times: its end, its cost, and each time that limits or budgets judge it, however many there are."""


class TenantLabels:
    """Gives tenants labels of their own: the first, and of the others the busiest. All others are one.

    A label once given is never taken back, so that nothing that is counted under it ever falls; what a tenant did
    before it got one stays with the others.
    """

    def __init__(self) -> None:
        """Nobody has a label yet; `of` returns what a tenant is called in metrics."""
        self._labels = _Labels(self._new)
        # Asked several times for each call: as a rule it calls nothing of Python's.
        self.of: Callable[[str], str] = self._labels.__getitem__
        self._uses: Counter[str] = Counter()

    def _new(self, tenant: str) -> str:
        if len(self._labels) < FIRST:
            return self._labels.setdefault(tenant, tenant)
        self._uses[tenant] += 1
        return OTHER

    def promote(self) -> None:
        """End a stretch: give labels to those who were busy in it, as far as there are any left."""
        busiest = [tenant for tenant, uses in self._uses.most_common(BUSY) if uses >= BUSY_USES]
        self._labels.update({tenant: tenant for tenant in busiest[: FIRST + BUSY - len(self._labels)]})
        self._uses.clear()


class _Labels(dict[str, str]):
    """The labels by their tenants; `new` tells that of a tenant who has none, and may give it one."""

    def __init__(self, new: Callable[[str], str]) -> None:
        super().__init__()
        self._new = new

    def __missing__(self, tenant: str) -> str:
        return self._new(tenant)
