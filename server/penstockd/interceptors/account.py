"""One attempt's account: what is held for it, and what it is charged in the end."""

from collections.abc import Sequence

from penstockd.call import Call
from penstockd.ledger import Entry, EntryStatus
from penstockd.limits import BudgetDemand, Demand
from penstockd.model import Model, Prompt, chosen, estimate, text_tokens
from penstockd.outcome import Attempt
from penstockd.principal import Principal
from penstockd.rules import Caller, Rulebook
from penstockd.upstream import UNBILLED
from penstockd.usage import Usage


class Account:
    """Knows what one attempt asks of limits and budgets, and what it has come to so far."""

    def __init__(self, call: Call[Prompt], rulebook: Rulebook, now: float) -> None:
        """Estimate what the attempt may use at most; `now` in unix seconds."""
        prompt, outcome = call.request, call.outcome
        self.model: Model = chosen(prompt)
        self.attempt: Attempt = prompt.attempt or Attempt(model=self.model.name, started_at=call.started_at)
        self.caller = Caller(
            principal=outcome.principal or Principal(tenant=""), user_id=prompt.user_id, agent=outcome.agent
        )
        self.hold_id = f"{outcome.call_id}/{self.attempt.ordinal}"
        self._call = call
        self._at = now
        self._estimate = estimate(prompt)
        self._said = 0
        self.demands: Sequence[Demand] = rulebook.attempt(
            self.caller, tokens=self._estimate.total, cost_nanousd=self._cost(self._estimate) or 0, now=now
        )

    @property
    def needs_a_price(self) -> bool:
        """Whether a budget is asked and nobody knows what the model costs."""
        return self.model.price is None and any(isinstance(demand, BudgetDemand) for demand in self.demands)

    def hear(self, text: str) -> None:
        """Count output as it passes, for the case that the provider never says."""
        self._said += text_tokens(text)

    def held(self) -> Entry:
        """The ledger's entry while the attempt is on its way: what it is charged if the process dies."""
        return self._entry(EntryStatus.HELD, self._estimate, is_estimated=True)

    def complete(self, reported: Usage) -> Entry:
        """The entry of an attempt that answered: by the provider's count, by ours where it gave none."""
        is_estimated = reported.total == 0 and self._said > 0
        usage = Usage(uncached_input=self._estimate.uncached_input, output=self._said) if is_estimated else reported
        self.attempt.is_complete = True
        return self._settled(EntryStatus.OK, usage, is_estimated=is_estimated)

    def broken(self, status: EntryStatus, reason: str) -> Entry:
        """The entry of an attempt that was cut: what was reported until then, and what should have come with it."""
        if reason in UNBILLED:
            return self._settled(status, Usage(), is_estimated=False)
        reported = self.attempt.usage
        usage = Usage(
            uncached_input=reported.uncached_input if reported.input else self._estimate.uncached_input,
            cached_input=reported.cached_input,
            cache_write_input=reported.cache_write_input,
            output=max(reported.output, self._said),
            reasoning=reported.reasoning,
        )
        return self._settled(status, usage, is_estimated=True)

    def unused(self) -> Entry:
        """The entry of an attempt that was given up before anything was sent."""
        return self._settled(EntryStatus.CANCELLED, Usage(), is_estimated=False)

    def give_back_grant(self, *, used: int) -> None:
        """Give back what the attempt took of its provider's grant and did not use, in tokens."""
        self.model.allowance.settle(held=self.attempt.held_tokens, used=used)

    def used(self, entry: Entry) -> dict[str, float]:
        """What `entry` used of each demand, by key."""
        return {
            demand.key: (entry.cost_nanousd or 0) if isinstance(demand, BudgetDemand) else entry.usage.total
            for demand in self.demands
        }

    def _settled(self, status: EntryStatus, usage: Usage, *, is_estimated: bool) -> Entry:
        entry = self._entry(status, usage, is_estimated=is_estimated)
        self.attempt.usage = usage
        self.attempt.cost_nanousd = entry.cost_nanousd
        self.attempt.is_estimated = is_estimated
        return entry

    def _entry(self, status: EntryStatus, usage: Usage, *, is_estimated: bool) -> Entry:
        outcome, principal = self._call.outcome, self.caller.principal
        return Entry(
            call_id=outcome.call_id,
            attempt=self.attempt.ordinal,
            at=self._at,
            request_id=outcome.request_id,
            tenant=principal.tenant,
            key=principal.key,
            user_id=self.caller.user_id,
            agent=outcome.agent,
            model=self.model.name,
            status=status,
            usage=usage,
            cost_nanousd=self._cost(usage),
            is_estimated=is_estimated,
            labels=self._call.request.labels,
        )

    def _cost(self, usage: Usage) -> int | None:
        return self.model.price.cost(usage) if self.model.price else None
