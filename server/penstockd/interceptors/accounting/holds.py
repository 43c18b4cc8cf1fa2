"""What calls and attempts hold of limits and budgets."""

from collections.abc import Awaitable, Coroutine, Sequence
from typing import TypeVar

from penstockd.errors import AccountingUnavailable
from penstockd.interceptors.accounting.denials import Denials
from penstockd.interceptors.accounting.settlement import Settlements
from penstockd.limits import Crossing, Demand, LimitStore, StoreUnavailable, Used, Verdict

T = TypeVar("T")


class Holds:
    """Takes holds, judges what came of that, and settles them however their calls end."""

    def __init__(self, store: LimitStore, *, settlements: Settlements, denials: Denials) -> None:
        """Hold and settle at `store`."""
        self._store = store
        self._settlements = settlements
        self._denials = denials

    def take(self, hold_id: str, demands: Sequence[Demand]) -> Awaitable[Verdict]:
        """Hold what `demands` ask, or nothing where one of them is denied; raises AccountingUnavailable."""
        return self._store.hold(hold_id, demands) if self._store.is_local else self._take(hold_id, demands)

    async def _take(self, hold_id: str, demands: Sequence[Demand]) -> Verdict:
        try:
            return await self._store.hold(hold_id, demands)
        except StoreUnavailable as error:
            raise AccountingUnavailable("limits and budgets cannot be checked just now", retry_after=1.0) from error

    def judge(self, verdict: Verdict, demands: Sequence[Demand]) -> None:
        """Count what `verdict` means for `demands`; raise what a denial means for the caller."""
        self._denials.judge(verdict, demands)

    def settle(self, hold_id: str, used: Used | None) -> Awaitable[Sequence[Crossing]]:
        """End a hold, as the store does, whatever becomes of the call meanwhile."""
        return self.finish(self._store.settle(hold_id, used))

    def finish(self, work: Coroutine[object, object, T]) -> Awaitable[T]:
        """Do `work`, of which settling a hold is a part; where that may wait, no cancel of the call reaches it."""
        return work if self._store.is_local else self._settlements.run(work)
