"""One attempt's account: what is held for it, and what it is charged in the end."""

from msgspec.structs import replace

from penstockd.call import Call
from penstockd.ledger import Entry, EntryStatus
from penstockd.limits import Amounts, BudgetDemand
from penstockd.model import BYTES_PER_TOKEN, Prompt, chosen, estimate
from penstockd.rules import Caller, Rulebook
from penstockd.upstream import UNBILLED
from penstockd.usage import Usage


class Account:
    """Knows what one attempt asks of limits and budgets, and what it has come to so far.

    `held` is its ledger entry while it is on its way: what it is charged if the process dies.
    """

    def __init__(self, call: Call[Prompt], rulebook: Rulebook, now: float) -> None:
        """Estimate what the attempt may use at most; `now` in unix seconds."""
        prompt, outcome, principal = call.request, call.outcome, call.principal
        self.model = model = chosen(prompt)
        self.attempt = attempt = prompt.attempt
        self.caller = Caller(principal=principal, user_id=prompt.user_id, agent=outcome.agent)
        self.hold_id = f"{outcome.call_id}/{attempt.ordinal}"
        self._estimate = estimated = estimate(prompt)
        self._bytes_said = 0
        self.is_settled = False
        self.demands = rulebook.attempt(self.caller, now=now)
        self.held = Entry(
            call_id=outcome.call_id,
            attempt=attempt.ordinal,
            at=now,
            request_id=outcome.request_id,
            tenant=principal.tenant,
            key=principal.key,
            user_id=prompt.user_id,
            agent=outcome.agent,
            model=model.name,
            status=EntryStatus.HELD,
            usage=estimated,
            cost_nanousd=self._cost(estimated),
            is_estimated=True,
            labels=prompt.labels,
        )

    @property
    def asked(self) -> Amounts:
        """What it holds of its demands: the most it may cost, not the likeliest.

        The provider may count all of the input as a cache write.
        """
        estimated, price = self._estimate, self.model.price
        return Amounts(of_rates=estimated.total, nanousd=price.most(estimated) if price else 0)

    @property
    def needs_a_price(self) -> bool:
        """Whether a budget binds the attempt and nobody knows what the model costs; a shadow binds nothing."""
        if self.model.price is not None:
            return False
        return any(isinstance(demand, BudgetDemand) and not demand.is_shadow for demand in self.demands)

    def hear(self, text: str) -> None:
        """Count output as it passes, for the case that the provider never says."""
        self._bytes_said += len(text) if text.isascii() else len(text.encode())

    def complete(self, reported: Usage, *, is_counted: bool = True) -> Entry:
        """The entry of an attempt that answered; `is_counted` if what was reported is of all of the answer."""
        self.attempt.is_complete = True
        if is_counted:
            return self._counted(EntryStatus.OK, reported)
        return self._partly_counted(EntryStatus.OK, reported)

    def broken(self, status: EntryStatus, reason: str) -> Entry:
        """The entry of an attempt that brought no answer: what was reported, and what is missing if it was cut."""
        reported = self.attempt.usage
        is_free = self.attempt.is_unsent or reason in UNBILLED
        if is_free and not self._said and not reported.total:
            return self._settled(status, Usage(), is_estimated=False)
        if self.attempt.is_counted:
            return self._counted(status, reported)
        return self._partly_counted(status, reported)

    def give_back_grant(self, *, used: int) -> None:
        """Give back what the attempt took of its provider's grant and did not use, in tokens."""
        self.model.allowance.settle(self.attempt.grant, used=used)

    @property
    def _said(self) -> int:
        """Output that was heard, shown to callers or not, by BYTES_PER_TOKEN; never more than was asked for."""
        said = -(-(self._bytes_said + self.attempt.bytes_unsaid) // BYTES_PER_TOKEN)
        return min(said, self._estimate.output)

    def _completed(self, reported: Usage, *, output: int) -> Usage:
        """What was reported with this output, and with our count of the input if there was none."""
        if reported.input:
            return reported if output == reported.output else replace(reported, output=output)
        return replace(reported, output=output, uncached_input=self._estimate.uncached_input)

    def _counted(self, status: EntryStatus, reported: Usage) -> Entry:
        """The entry by the provider's count of the whole answer, by ours of what it left out."""
        usage = self._completed(reported, output=reported.output or self._said)
        return self._settled(status, usage, is_estimated=usage != reported)

    def _partly_counted(self, status: EntryStatus, reported: Usage) -> Entry:
        """The entry by the larger of both counts, where the provider's may be of a part of the answer only."""
        usage = self._completed(reported, output=max(reported.output, self._said))
        return self._settled(status, usage, is_estimated=True)

    def _settled(self, status: EntryStatus, usage: Usage, *, is_estimated: bool) -> Entry:
        attempt, cost = self.attempt, self._cost(usage)
        self.is_settled = True
        attempt.usage = usage
        attempt.cost_nanousd = cost
        attempt.is_estimated = is_estimated
        return replace(self.held, status=status, usage=usage, cost_nanousd=cost, is_estimated=is_estimated)

    def _cost(self, usage: Usage) -> int | None:
        if self.model.price is None:
            return None if usage.total else 0
        return self.model.price.cost(usage)
