"""Accounts for every attempt: holds its estimate before it is made, settles the truth when it ends."""

from asyncio import CancelledError
from collections.abc import Awaitable

from msgspec.structs import replace

from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.clock import Clock
from penstockd.errors import AccountingUnavailable, PriceUnknown
from penstockd.interceptors.accounting.account import Account
from penstockd.interceptors.accounting.added_budgets import AddedBudgets
from penstockd.interceptors.accounting.budget_alerts import BudgetAlerts
from penstockd.interceptors.accounting.holds import Holds
from penstockd.interceptors.accounting.price_alarm import PriceAlarm
from penstockd.ledger import Entry, EntryStatus, Ledger, LedgerUnavailable
from penstockd.limits import NOTHING_USED, Amounts
from penstockd.logs.log import Log
from penstockd.model import Prompt
from penstockd.rules import Rulebook
from penstockd.upstream import PassedOver, UpstreamFailure


class Meter:
    """Lets no attempt start that limits and budgets do not cover, and none end that the ledger does not know.

    The last reply waits until the ledger has the attempt. However the attempt ends, a cancelled caller included, its
    settlement runs to its end in a task of the daemon's own.
    """

    def __init__(
        self,
        *,
        rulebook: Rulebook,
        holds: Holds,
        ledger: Ledger,
        added_budgets: AddedBudgets,
        alerts: BudgetAlerts,
        price_alarm: PriceAlarm,
        clock: Clock,
        log: Log,
    ) -> None:
        """Hold and settle by `holds`, account in `ledger`."""
        self._rulebook = rulebook
        self._holds = holds
        self._ledger = ledger
        self._added_budgets = added_budgets
        self._alerts = alerts
        self._price_alarm = price_alarm
        self._clock = clock
        self._log = log

    async def __call__(self, call: Call[Prompt], proceed: Handler[Prompt]) -> None:
        """Proceed if the attempt is covered, else raise what is in its way."""
        account = Account(call, self._rulebook, self._clock.wall())
        try:
            await self._open(account, call.ends_at)
        except BaseException:
            account.give_back_grant(used=0)
            raise

        def send(reply: Reply) -> Awaitable[None]:
            if isinstance(reply, Delta):
                account.hear(reply.text)
            elif isinstance(reply, Completed) and not account.is_settled:
                return self._end(account, reply, call)
            return call.send(reply)

        status, reason = EntryStatus.FAILED, ""
        try:
            await proceed(replace(call, send=send))
        except PassedOver:
            await self._forget(account)
            raise
        except UpstreamFailure as failure:
            reason = failure.reason
            raise
        except CancelledError:
            status = EntryStatus.CANCELLED
            raise
        finally:
            if not account.is_settled:
                await self._settle(account, account.broken(status, reason))

    async def _open(self, account: Account, ends_at: float) -> None:
        """Hold what the attempt may cost, and put it on the ledger; both or neither."""
        if account.needs_a_price:
            self._price_alarm.sound(account.model.name)
            raise PriceUnknown(f"the price of {account.model.name} is not known, and this call is on a budget")
        if account.demands:
            verdict = await self._holds.take(account.hold_id, account.demands, account.asked)
            self._holds.judge(verdict, account.demands)
        try:
            await self._ledger.hold(account.held, ends_at)
        except LedgerUnavailable as error:
            await self._release(account)
            raise AccountingUnavailable("the call cannot be accounted for just now", retry_after=1.0) from error
        except BaseException:
            await self._release(account)
            raise

    async def _release(self, account: Account) -> None:
        if account.demands:
            await self._holds.settle(account.hold_id, NOTHING_USED)

    async def _end(self, account: Account, reply: Completed, call: Call[Prompt]) -> None:
        """Let the caller know of the end once it is settled."""
        await self._settle(account, account.complete(reply.usage, is_counted=reply.is_counted))
        await call.send(reply)

    def _settle(self, account: Account, entry: Entry) -> Awaitable[None]:
        account.give_back_grant(used=entry.usage.total)
        return self._holds.finish(self._close(account, entry) if account.demands else self._write(account, entry))

    async def _forget(self, account: Account) -> None:
        """Leave everything as it was: a model that was not asked made no attempt."""
        account.is_settled = True
        account.give_back_grant(used=0)
        try:
            await self._release(account)
        finally:
            await self._take_back(account.held)

    async def _take_back(self, entry: Entry) -> None:
        try:
            await self._ledger.release(entry)
        except LedgerUnavailable as error:
            self._log.warning("an entry is taken back later", error=str(error), request_id=entry.request_id)

    async def _close(self, account: Account, entry: Entry) -> None:
        """Settle the hold and the entry; the entry also if settling the hold fails in a way that nobody foresaw."""
        try:
            used = Amounts(of_rates=entry.usage.total, nanousd=entry.cost_nanousd or 0)
            self._alerts.tell(await self._holds.settle(account.hold_id, used))
        finally:
            await self._write(account, entry)

    async def _write(self, account: Account, entry: Entry) -> None:
        try:
            await self._ledger.settle(entry)
        except LedgerUnavailable as error:
            # The ledger keeps the entry and writes it when it can; the answer was paid for and is delivered.
            self._log.warning("an attempt waits for the ledger", error=str(error), request_id=entry.request_id)
        finally:
            if self._added_budgets.are_there_since(self._rulebook):
                self._alerts.tell(await self._added_budgets.count(account, entry))
