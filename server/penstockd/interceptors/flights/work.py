"""One piece of work that callers share: who began it, how it may end, and what each of them is told then."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from typing import TypeAlias

from penstockd.answers import Answer
from penstockd.call import Call, Completed, Overtime
from penstockd.clock import Clock
from penstockd.errors import (
    AgentNotFound,
    BudgetExhausted,
    ContentFiltered,
    ContextTooLong,
    Internal,
    PenstockError,
    RateLimited,
    StreamBroken,
    UpstreamMisconfigured,
    UpstreamRejected,
)
from penstockd.request import Request
from penstockd.resilience.deadline import margin
from penstockd.resilience.flight import Flight
from penstockd.rules import Caller, Per, kind_and_tenant
from penstockd.tracing import Trace, present

Ending: TypeAlias = Completed | BaseException
Keep: TypeAlias = Callable[[Answer], Awaitable[None]]

_WOULD_REPEAT = (AgentNotFound, ContentFiltered, ContextTooLong, UpstreamMisconfigured, UpstreamRejected)
"""What another try would meet again. All else may pass, or is about the first caller alone, such as its limits."""


@dataclass(eq=False, slots=True, kw_only=True)
class Work:
    """A flight, the call that started it, and the task that does it.

    `keep` is told the whole answer; `successor` is the one new flight of those whom this one failed.
    """

    key: str
    call: Call[Request]
    flight: Flight[Ending] = field(default_factory=Flight)
    overtime: Overtime = field(default_factory=Overtime)
    trace: Trace | None = field(default_factory=present)
    keep: Keep | None = None
    task: "asyncio.Task[None]" = field(init=False)
    timer: asyncio.TimerHandle | None = None
    successor: "Work | None" = None
    is_told: bool = False

    @property
    def may_be_flown_again(self) -> bool:
        """Whether it failed before anything was heard, in a way that another try may not."""
        ending = self.flight.ending
        return not self.flight.pieces and isinstance(ending, PenstockError) and not isinstance(ending, _WOULD_REPEAT)

    def error(self, ending: BaseException, call: Call[Request]) -> BaseException:
        """What one more listener is told; what was unforeseen is raised as it is once, for the log."""
        if call is not self.call and is_anothers(ending, call):
            return StreamBroken("the call that was joined broke off")
        if isinstance(ending, PenstockError):
            return copy(ending)
        if self.is_told or isinstance(ending, asyncio.CancelledError):
            return Internal("the call that was joined failed; the details are in the server's log")
        self.is_told = True
        return ending


class OwnLimit:
    """Wakes a listener at the end of its own time, should the work that it listens to have been granted more."""

    __slots__ = ("_call", "_clock", "_overtime", "_timer", "_wake", "is_over")

    def __init__(self, call: Call[Request], overtime: Overtime, clock: Clock, wake: Callable[[], None]) -> None:
        self.is_over = False
        self._call = call
        self._overtime = overtime
        self._clock = clock
        self._wake = wake
        self._timer: asyncio.TimerHandle | None = None
        overtime.watch(self._granted)
        self._granted()

    def close(self) -> None:
        """Wake nobody any more."""
        self._overtime.unwatch(self._granted)
        if self._timer is not None:
            self._timer.cancel()

    def _granted(self) -> None:
        if self._overtime.until > self._call.expires_at:
            self._overtime.unwatch(self._granted)
            remaining = self._call.expires_at - self._clock.monotonic()
            self._timer = asyncio.get_running_loop().call_later(remaining - margin(remaining), self._expire)

    def _expire(self) -> None:
        self.is_over = True
        self._wake()


def is_anothers(ending: BaseException, call: Call[Request]) -> bool:
    """Whether it refuses a user or a key that is not this caller's, and so says nothing of this one."""
    if not isinstance(ending, RateLimited | BudgetExhausted) or ending.quota is None:
        return False
    kind, _ = kind_and_tenant(ending.quota.subject)
    if kind not in (Per.USER.value, Per.KEY.value):
        return False
    caller = Caller(principal=call.principal, user_id=call.request.user_id, agent=call.outcome.agent)
    return caller.subject(Per(kind)) != ending.quota.subject
