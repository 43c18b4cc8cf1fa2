"""Tells whoever watches whether the ledger can be written."""

from penstockd.changes import Changes
from penstockd.health import Health


class LedgerWatch:
    """Has the daemon be ready only while paid calls can be accounted for."""

    def __init__(self, *, health: Health, changes: Changes) -> None:
        """The ledger is well until told otherwise."""
        self._health = health
        self._changes = changes

    def tell(self, fault: str) -> None:
        """Tell why it cannot be written; empty when it can again."""
        if fault:
            self._health.add_reason("ledger")
            self._changes.add("ledger", "ledger", "failing", fault)
        else:
            self._health.remove_reason("ledger")
            self._changes.add("ledger", "ledger", "recovered")
