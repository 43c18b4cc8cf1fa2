"""What calls and attempts hold of limits and budgets."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TypeVar

from penstockd.errors import AccountingUnavailable
from penstockd.interceptors.accounting.denials import Denials
from penstockd.interceptors.accounting.settlement import Settlements
from penstockd.limits import Amounts, Crossing, Demand, LimitStore, StoreUnavailable, Verdict

T = TypeVar("T")


class Holds:
    """Takes holds, judges what came of that, and settles them however their calls end.

    `judge` counts what a verdict means for its demands, and raises what a denial means for the caller.
    """

    judge: Callable[[Verdict, Sequence[Demand]], None]

    def __init__(self, store: LimitStore, *, settlements: Settlements, denials: Denials) -> None:
        """Hold and settle at `store`."""
        self._store = store
        self._settlements = settlements
        self.judge = denials.judge

    def take(self, hold_id: str, demands: Sequence[Demand], asked: Amounts) -> Awaitable[Verdict]:
        """Hold what is `asked` of `demands`, or nothing where one of them is denied; raises AccountingUnavailable."""
        take = self._store.hold if self._store.is_local else self._take
        return take(hold_id, demands, asked)

    async def _take(self, hold_id: str, demands: Sequence[Demand], asked: Amounts) -> Verdict:
        try:
            return await self._store.hold(hold_id, demands, asked)
        except StoreUnavailable as error:
            raise AccountingUnavailable("limits and budgets cannot be checked just now", retry_after=1.0) from error

    def settle(self, hold_id: str, used: Amounts | None) -> Awaitable[Sequence[Crossing]]:
        """End a hold, as the store does, whatever becomes of the call meanwhile."""
        return self.finish(self._store.settle(hold_id, used))

    def finish(self, work: Coroutine[object, object, T]) -> Awaitable[T]:
        """Do `work`, of which settling a hold is a part; where that may wait, no cancel of the call reaches it."""
        return work if self._store.is_local else self._settlements.run(work)
