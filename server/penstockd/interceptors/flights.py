"""Lets identical calls share one piece of work, which belongs to the daemon and not to any caller."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec.structs import replace

from penstockd import conventions as names
from penstockd.answers import Answer
from penstockd.call import Call, Completed, Delta, Handler, Overtime, Reply
from penstockd.errors import (
    AgentNotFound,
    ContentFiltered,
    ContextTooLong,
    Internal,
    PenstockError,
    UpstreamMisconfigured,
    UpstreamRejected,
)
from penstockd.outcome import CacheStatus
from penstockd.request import Request
from penstockd.resilience.flight import Flight
from penstockd.tracing import Trace, present

Ending: TypeAlias = Completed | BaseException
Keep: TypeAlias = Callable[[Answer], Awaitable[None]]

_WOULD_REPEAT = (AgentNotFound, ContentFiltered, ContextTooLong, UpstreamMisconfigured, UpstreamRejected)
"""What another try would meet again. All else may pass, or is about the first caller alone, such as its limits."""


@dataclass(eq=False, slots=True, kw_only=True)
class _Work:
    """A flight, the call that started it, and the task that does it.

    `keep` is told the whole answer; `successor` is the one new flight of those whom this one failed.
    """

    key: str
    call: Call[Request]
    flight: Flight[Ending] = field(default_factory=Flight)
    overtime: Overtime = field(default_factory=Overtime)
    trace: Trace | None = field(default_factory=present)
    keep: Keep | None = None
    task: "asyncio.Task[None] | None" = None
    timer: asyncio.TimerHandle | None = None
    successor: "_Work | None" = None
    is_told: bool = False

    @property
    def may_fly_again(self) -> bool:
        """Whether it failed before anything was heard, in a way that another try may not."""
        ending = self.flight.ending
        return not self.flight.pieces and isinstance(ending, PenstockError) and not isinstance(ending, _WOULD_REPEAT)

    def error(self, ending: BaseException) -> BaseException:
        """What one more listener is told; what was unforeseen is raised as it is once, for the log."""
        if isinstance(ending, PenstockError):
            return copy(ending)
        if self.is_told or isinstance(ending, asyncio.CancelledError):
            return Internal("the call that was joined failed; the details are in the server's log")
        self.is_told = True
        return ending


class Flights:
    """The work in flight, by key."""

    def __init__(self, *, linger: float = 0.0) -> None:
        """Work that everybody has left goes on for `linger` seconds, for those who come back.

        `joins` counts callers who joined, `landed` the works that ended.
        """
        self.joins = 0
        self.landed = 0
        self._linger = linger
        self._works: dict[str, _Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Flights {len(self._works)} in the air, {len(self._tasks)} tasks>"

    async def ride(self, key: str, call: Call[Request], proceed: Handler[Request], keep: Keep | None = None) -> None:
        """Join the work of `key`, or start it with `proceed`, and hand on all of its replies; `keep` gets the answer.

        Callers who joined, and heard nothing before the work failed in a way that may pass, share one new flight.
        """
        status = call.outcome.cache
        work = self._works.get(key)
        is_first = work is None
        work = work or self._start(key, call, proceed)
        failure = await self._listen(work, call, keep)
        if failure is None:
            return
        if is_first or not work.may_fly_again:
            raise work.error(failure)
        call.outcome.cache = status
        if work.successor is None or _is_ending(work.successor):
            work.successor = self._works.get(key) or self._start(key, call, proceed)
        failure = await self._listen(work.successor, call, keep)
        if failure is not None:
            raise work.successor.error(failure)

    async def close(self, timeout: float) -> None:
        """End all work, also what lingers, and wait at most `timeout` seconds for it."""
        for work in list(self._works.values()):
            self._end(work)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    def _start(self, key: str, call: Call[Request], proceed: Handler[Request]) -> _Work:
        work = _Work(key=key, call=call)
        self._works[key] = work
        work.task = asyncio.create_task(self._run(work, proceed))
        self._tasks.add(work.task)
        work.task.add_done_callback(self._tasks.discard)
        return work

    async def _run(self, work: _Work, proceed: Handler[Request]) -> None:
        flight = work.flight

        async def send(reply: Reply) -> None:
            match reply:
                case Delta(text=text):
                    flight.say(text)
                case Completed(finish_reason=finish_reason, model=model):
                    flight.end(reply)
                    if work.keep is not None:
                        answer = Answer(text="".join(flight.pieces), finish_reason=finish_reason, model=model)
                        await work.keep(answer)

        try:
            await proceed(replace(work.call, send=send, overtime=work.overtime))
            flight.end(RuntimeError("the work ended before its answer did"))
        except asyncio.CancelledError as error:
            flight.end(error)
            raise
        except BaseException as error:  # noqa: BLE001 - whoever listens raises it again
            flight.end(error)
        finally:
            self.landed += 1
            self._forget(work)

    async def _listen(self, work: _Work, call: Call[Request], keep: Keep | None) -> BaseException | None:
        """Hand on what is said, at this caller's own pace; return the error if it ends in one.

        The last one to leave ends the work.
        """
        news: asyncio.Future[None] | None = None

        def wake() -> None:
            if news is not None and not news.done():
                news.set_result(None)

        seat = work.flight.board(wake, wants_pieces=call.method.streams)
        work.keep = work.keep or keep
        work.overtime.grant(call.expires_at)
        _stop(work.timer)
        outcome, first = call.outcome, work.call.outcome
        if outcome is not first:
            self.joins += 1
            outcome.cache = CacheStatus.COALESCED
            _note_joining(work)
        try:
            while (ending := seat.ending) is None:
                if text := seat.read():
                    outcome.model = first.model
                    await call.send(Delta(text))
                elif seat.ending is None:
                    news = asyncio.get_running_loop().create_future()
                    await news
            if not isinstance(ending, Completed):
                return ending
            outcome.model = ending.model
            await call.send(ending)
            return None
        finally:
            outcome.agent = first.agent
            work.flight.leave(seat)
            if work.flight.is_deserted:
                self._desert(work)

    def _desert(self, work: _Work) -> None:
        """Nobody listens: end the work, now or when nobody came back."""
        if self._linger:
            work.timer = asyncio.get_running_loop().call_later(self._linger, self._end, work)
        else:
            self._end(work)

    def _end(self, work: _Work) -> None:
        self._forget(work)
        if work.task is not None:
            work.task.cancel()

    def _forget(self, work: _Work) -> None:
        _stop(work.timer)
        if self._works.get(work.key) is work:
            del self._works[work.key]


def _note_joining(work: _Work) -> None:
    """Tell on the trace of the call that is being handled whose work it waits for."""
    if joined := present():
        joined.note(names.CACHE_EVENT, {names.PENSTOCK_CACHE_STATUS: CacheStatus.COALESCED.value})
        if work.trace is not None:
            joined.span.add_link(work.trace.span.get_span_context())


def _is_ending(work: _Work) -> bool:
    """Whether all who were aboard have left it."""
    return work.task is not None and work.task.cancelling() > 0


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
