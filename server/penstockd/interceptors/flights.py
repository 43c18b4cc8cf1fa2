"""Lets identical calls share one piece of work, which belongs to the daemon and not to any caller."""

import asyncio
from dataclasses import dataclass

from msgspec.structs import replace

from penstockd.call import Call, Completed, Delta, Handler, Overtime, Reply
from penstockd.errors import Code, PenstockError
from penstockd.outcome import CacheStatus
from penstockd.request import Request
from penstockd.resilience.flight import Flight

Ending = Completed | BaseException

_TRANSIENT = {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL}
"""The statuses of errors that another try may not meet: a caller who joined gets one."""


@dataclass(eq=False, slots=True, kw_only=True)
class _Work:
    """A flight, the call that started it, and the task that does it."""

    key: str
    flight: Flight[Ending]
    call: Call[Request]
    overtime: Overtime
    task: asyncio.Task[None] | None = None


class Flights:
    """The work in flight, by key."""

    def __init__(self, *, linger: float = 0.0) -> None:
        """Work that everybody has left goes on for `linger` seconds, for those who come back."""
        self._linger = linger
        self._works: dict[str, _Work] = {}

    def __len__(self) -> int:
        """How many are in flight."""
        return len(self._works)

    async def ride(self, key: str, call: Call[Request], proceed: Handler[Request]) -> None:
        """Join the work of `key`, or start it with `proceed`, and hand on all of its replies.

        A caller who joined and heard nothing yet when the work failed in a way that may pass gets one more ride.
        """
        work = self._works.get(key)
        if work is None:
            await self._listen(self._start(key, call, proceed), call)
            return
        try:
            await self._listen(work, call)
        except PenstockError as error:
            if error.code not in _TRANSIENT or work.flight.pieces:
                raise
            call.outcome.cache = CacheStatus.MISS
            await self._listen(self._works.get(key) or self._start(key, call, proceed), call)

    def _start(self, key: str, call: Call[Request], proceed: Handler[Request]) -> _Work:
        work = _Work(key=key, flight=Flight(call.expires_at), call=call, overtime=Overtime())
        self._works[key] = work
        work.task = asyncio.create_task(self._run(work, proceed))
        return work

    async def _run(self, work: _Work, proceed: Handler[Request]) -> None:
        flight = work.flight

        async def send(reply: Reply) -> None:
            match reply:
                case Delta(text=text):
                    flight.say(text)
                case Completed():
                    flight.end(reply)

        try:
            await proceed(replace(work.call, send=send, overtime=work.overtime))
        except BaseException as error:  # noqa: BLE001 - whoever listens raises it again
            flight.end(error)
        finally:
            self._forget(work)

    async def _listen(self, work: _Work, call: Call[Request]) -> None:
        """Hand on what is said, at this caller's own pace; the last one to leave ends the work."""
        news = asyncio.Event()
        seat = work.flight.board(call.expires_at, news.set)
        work.overtime.grant(call.expires_at)
        outcome, first = call.outcome, work.call.outcome
        if outcome is not first:
            outcome.cache = CacheStatus.COALESCED
        try:
            while seat.ending is None:
                text = seat.read()
                if text:
                    outcome.model = first.model
                    await call.send(Delta(text))
                elif seat.ending is None:
                    news.clear()
                    await news.wait()
            ending = seat.ending
            if not isinstance(ending, Completed):
                raise ending
            outcome.model = ending.model
            await call.send(ending)
        finally:
            work.flight.leave(seat)
            if work.flight.is_empty and work.flight.ending is None:
                self._abandon(work)

    def _abandon(self, work: _Work) -> None:
        """Nobody listens: end the work, now or when nobody came back."""
        if self._linger:
            asyncio.get_running_loop().call_later(self._linger, self._end_if_empty, work)
        else:
            self._end_if_empty(work)

    def _end_if_empty(self, work: _Work) -> None:
        if work.flight.is_empty and work.task is not None:
            self._forget(work)
            work.task.cancel()

    def _forget(self, work: _Work) -> None:
        if self._works.get(work.key) is work:
            del self._works[work.key]
