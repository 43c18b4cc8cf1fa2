"""One piece of work that callers share: who began it, how it may end, and what each of them is told then."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from typing import TypeAlias

from msgspec import Struct, field

from penstockd.answers import Answer
from penstockd.call import Call, Completed
from penstockd.clock import Clock
from penstockd.errors import (
    AgentNotFound,
    BudgetExhausted,
    ContentFiltered,
    ContextTooLong,
    DeadlineExceeded,
    PenstockError,
    RateLimited,
    StreamBroken,
    UpstreamMisconfigured,
    UpstreamRejected,
)
from penstockd.request import Request
from penstockd.resilience.deadline import margin
from penstockd.resilience.flight import Flight
from penstockd.resilience.overtime import Overtime
from penstockd.rules import Caller, Per, kind_and_tenant
from penstockd.tracing import Trace, present

Ending: TypeAlias = Completed | PenstockError
Keep: TypeAlias = Callable[[Answer], Awaitable[None]]

_WOULD_REPEAT = (AgentNotFound, ContentFiltered, ContextTooLong, UpstreamMisconfigured, UpstreamRejected)
"""What another try would meet again. All else may pass, or is about the first caller alone, such as its limits."""
LATE = 1.0
"""Seconds left to a caller below which it does not fly again after a DEADLINE_EXCEEDED: it gave the work all it had but
our own ending, half a second at most, so that only one with more came too late to be heard."""


class Work(Struct, eq=False, kw_only=True):
    """A flight, the call that started it, and the task that does it.

    `keep` is told the whole answer; `successor` is the one new flight of those whom this one failed, and there is none
    if the failure `is_final`: nobody foresaw it, or the daemon ends.
    """

    key: str
    call: Call[Request]
    flight: Flight[Ending] = field(default_factory=Flight)
    overtime: Overtime = field(default_factory=Overtime)
    trace: Trace | None = field(default_factory=present)
    keep: Keep | None = None
    task: "asyncio.Task[None]" = None  # type: ignore[assignment]  # it is set as the work begins
    timer: asyncio.TimerHandle | None = None
    successor: "Work | None" = None
    is_final: bool = False

    def __repr__(self) -> str:
        return f"<Work {self.flight!r}>"

    def may_be_flown_again(self, left: float) -> bool:
        """Whether it failed before anything was heard, in a way that another try of `left` seconds may not."""
        ending = self.flight.ending
        if self.flight.pieces or self.is_final or isinstance(ending, _WOULD_REPEAT):
            return False
        return not isinstance(ending, DeadlineExceeded) or left > LATE

    def error(self, ending: PenstockError, call: Call[Request]) -> PenstockError:
        """What one more listener is told."""
        if call is not self.call and is_anothers(ending, call):
            return StreamBroken("the call that was joined broke off")
        return copy(ending)


class OwnLimit(Struct, eq=False):
    """Lets work take the time that one listener has, and wakes that listener at its end, should the work have more.

    `call` is the listener's, `overtime` the work's. A listener may itself be work that others share: what they grant
    it, it grants on.
    """

    call: Call[Request]
    overtime: Overtime
    clock: Clock
    wake: Callable[[], None]
    is_over: bool = False
    timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<OwnLimit at {self.call.ends_at:.3f}>"

    def __post_init__(self) -> None:
        if self.call.overtime is not None:
            self.call.overtime.watchers.add(self._extend)
        self._begin()

    def close(self) -> None:
        """Grant nothing and wake nobody any more."""
        if self.call.overtime is not None:
            self.call.overtime.watchers.discard(self._extend)
        self._stop()

    def _extend(self) -> None:
        """Let the work take as long as the listener may by now, and see anew which of them ends first."""
        self._stop()
        self._begin()

    def _begin(self) -> None:
        self.is_over = False
        ends_at = self.call.ends_at
        self.overtime.grant(ends_at)
        if self.overtime.until <= ends_at:
            self.overtime.watchers.add(self._extend)
            return
        remaining = ends_at - self.clock.monotonic()
        self.timer = asyncio.get_running_loop().call_later(remaining - margin(remaining), self._expire)

    def _stop(self) -> None:
        self.overtime.watchers.discard(self._extend)
        if self.timer is not None:
            self.timer.cancel()

    def _expire(self) -> None:
        self.is_over = True
        self.wake()


def is_anothers(ending: PenstockError, call: Call[Request]) -> bool:
    """Whether it refuses a user or a key that is not this caller's, and so says nothing of this one."""
    if not isinstance(ending, RateLimited | BudgetExhausted) or ending.quota is None:
        return False
    kind, _ = kind_and_tenant(ending.quota.subject)
    if kind not in (Per.USER, Per.KEY):
        return False
    caller = Caller(principal=call.principal, user_id=call.request.user_id, agent=call.outcome.agent)
    return caller.subject(Per(kind)) != ending.quota.subject
