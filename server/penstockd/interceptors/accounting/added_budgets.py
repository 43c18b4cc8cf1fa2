"""Counts what was under way when a reload added a budget: such an attempt holds nothing of it."""

from collections.abc import Callable, Sequence

from penstockd.interceptors.accounting.account import Account
from penstockd.ledger import Entry
from penstockd.limits import BudgetDemand, Crossing, LimitStore
from penstockd.rules import Rulebook


class AddedBudgets:
    """The budgets that bind an attempt by the rules in use when it ends, and did not by those that it began by."""

    def __init__(self, store: LimitStore, *, rulebook: Callable[[], Rulebook]) -> None:
        """Count at `store`; `rulebook` returns the rules that are in use."""
        self._store = store
        self._rulebook = rulebook

    def are_there_since(self, began_by: Rulebook) -> bool:
        """Whether an attempt that began by these rules may be bound by others as well by now."""
        return self._rulebook() is not began_by

    async def count(self, account: Account, entry: Entry) -> Sequence[Crossing]:
        """Count what `entry` cost in them; return the fractions that this crossed.

        Once the ledger has the entry: a reload that reads it there just then counts it twice rather than never.
        """
        if not entry.cost_nanousd:
            return ()
        held = {demand.key for demand in account.demands}
        demands = self._rulebook().attempt(account.caller, now=entry.at)
        added = [demand for demand in demands if isinstance(demand, BudgetDemand) and demand.key not in held]
        return await self._store.spend(added, entry.cost_nanousd) if added else ()
