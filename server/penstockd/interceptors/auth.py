"""Says who is calling, and keeps each caller to the agents it may use."""

from collections.abc import Awaitable

from penstockd import conventions as names
from penstockd.call import Call, Handler, Q
from penstockd.clock import Clock
from penstockd.errors import PermissionDenied, Unauthenticated
from penstockd.identity import Identify, Refusal
from penstockd.metrics.instruments import Instruments
from penstockd.request import Request


class Auth:
    """Refuses a call whose credentials are not believed or do not reach as far as its agent; notes whose it is.

    The agent is checked here and not where it runs: answers from a cache come from in between.
    """

    def __init__(self, identify: Identify, *, clock: Clock, instruments: Instruments) -> None:
        """Believe what `identify` believes."""
        self._identify = identify
        self._clock = clock
        self._refusals = instruments.counter(
            names.PENSTOCK_AUTH_REFUSALS,
            unit="{call}",
            description="Calls whose credentials were not believed.",
            labels=(names.PENSTOCK_REASON,),
        )

    def __call__(self, call: Call[Q], proceed: Handler[Q]) -> Awaitable[None]:
        """Proceed for a known caller, else raise Unauthenticated; raise PermissionDenied for an agent not its own."""
        caller = self._identify(call.metadata.values("authorization"), call.sans, self._clock.wall())
        if isinstance(caller, Refusal):
            call.outcome.auth = caller
            self._refusals.of(caller).add()
            raise Unauthenticated
        call.outcome.principal = caller
        if isinstance(call.request, Request) and not caller.may_use(call.request.agent):
            raise PermissionDenied(f"this key may not use the agent {call.request.agent[:63]!r}")
        return proceed(call)
