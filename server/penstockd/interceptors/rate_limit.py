"""Bounds how often and how many at once a tenant, a user, an agent or a key may call."""

from collections.abc import Awaitable, Sequence
from math import ceil

from penstockd import conventions as names
from penstockd.call import Call, Handler
from penstockd.errors import Overloaded
from penstockd.interceptors.accounting.holds import Holds
from penstockd.limits import NOTHING_USED, Amounts, Demand, RateState
from penstockd.request import Request
from penstockd.rules import Caller, Rulebook
from penstockd.tracing import present

GRACE = 60.0
"""Seconds in which the longest call settles."""
_ONE_REQUEST = Amounts(of_rates=1)


class RateLimit:
    """Refuses a call whose caller is over one of its limits; an admitted one holds its places until it ends."""

    def __init__(self, rulebook: Rulebook, holds: Holds, *, longest_call: float) -> None:
        """A place that nobody gives back is free again some time after `longest_call` seconds."""
        self._rulebook = rulebook
        self._holds = holds
        self._lease_ttl = longest_call + GRACE

    def __call__(self, call: Call[Request], proceed: Handler[Request]) -> Awaitable[None]:
        """Proceed under one admission, else raise what denies it; a call that is shed gets its admission back."""
        principal, request = call.principal, call.request
        if not self._rulebook.of(principal.tenant).limits:
            return proceed(call)
        caller = Caller(principal=principal, user_id=request.user_id, agent=request.agent)
        demands = self._rulebook.admission(caller, lease_ttl=self._lease_ttl)
        return self._limited(call, demands, proceed) if demands else proceed(call)

    async def _limited(self, call: Call[Request], demands: Sequence[Demand], proceed: Handler[Request]) -> None:
        outcome, holds = call.outcome, self._holds
        verdict = await holds.take(outcome.call_id, demands, _ONE_REQUEST)
        if verdict.tightest is not None:
            outcome.headers += _headers(verdict.tightest)
        holds.judge(verdict, demands)
        if trace := present():
            trace.note(names.ADMITTED_EVENT, {names.PENSTOCK_LIMITS: len(demands)})
        used: Amounts | None = None
        try:
            await proceed(call)
        except Overloaded:
            # An agent may say so of itself, having asked a model.
            if not outcome.attempts:
                used = NOTHING_USED
                outcome.headers.clear()
            raise
        finally:
            await holds.settle(outcome.call_id, used)


def _headers(tightest: RateState) -> list[tuple[str, str]]:
    return [
        ("x-ratelimit-limit", f"{tightest.limit:.0f}"),
        ("x-ratelimit-remaining", f"{int(tightest.remaining)}"),
        ("x-ratelimit-reset", f"{ceil(tightest.reset_after)}"),
    ]
