"""Lets identical calls share one piece of work, which belongs to the daemon and not to any caller."""

import asyncio

from msgspec.structs import replace

from penstockd import conventions as names
from penstockd.answers import Answer
from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.clock import Clock
from penstockd.errors import DeadlineExceeded, Internal, PenstockError, StreamBroken
from penstockd.frames import let_go
from penstockd.interceptors.flights.work import Keep, OwnLimit, Work, is_anothers
from penstockd.logs.log import Log
from penstockd.outcome import CacheStatus, FinishReason, can_be_told
from penstockd.request import Request
from penstockd.tracing import present

LONGEST = 16 << 20
"""Characters of a text that are kept for whoever joins; an answer that goes on is broken off."""
LEFT_AT_MOST = 100
"""Works of one tenant that go on with nobody listening, in no limit's count; one more ends when it is left."""
SETTLING = 1.0
"""Seconds that the last caller to leave waits for its work to settle what it used."""


class Flights:
    """The work in flight, by key."""

    def __init__(self, clock: Clock, *, log: Log, linger: float = 0.0) -> None:
        """Work that everybody has left goes on for `linger` seconds, for those who come back.

        `joins` counts callers who joined, `landed` the works that ended.
        """
        self.joins = 0
        self.landed = 0
        self._clock = clock
        self._log = log
        self._linger = linger
        self._works: dict[str, Work] = {}
        self._left: dict[str, set[Work]] = {}
        # Those that are to end and have not: the loop itself holds a task only weakly.
        self._ending: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Flights {len(self._works)} in the air, {len(self._ending)} ending>"

    async def ride(
        self,
        key: str,
        call: Call[Request],
        proceed: Handler[Request],
        keep: Keep | None = None,
        *,
        again: Handler[Request] | None = None,
    ) -> None:
        """Join the work of `key`, or start it with `proceed`, and hand on all of its replies.

        `keep` gets the answer if it is whole: what broke off is none, nor is what was cut at a length.
        Callers who joined, and heard nothing before the work failed in a way that may pass, share one new flight, with
        `again` if that is given; and another one for each time that it was refused for the limit of a user or key that
        is not theirs.
        """
        status = call.outcome.cache
        work = self._works.get(key) or self._start(key, call, proceed)
        may_fly_again = True
        while (failure := await self._listen(work, call, keep)) is not None:
            is_no_affair = is_anothers(failure, call)
            left = call.ends_at - self._clock.monotonic()
            if call is work.call or not work.may_be_flown_again(left) or not (may_fly_again or is_no_affair):
                raise work.error(failure, call)
            may_fly_again = may_fly_again and is_no_affair
            call.outcome.cache = status
            if work.successor is None or _is_ending(work.successor):
                work.successor = self._works.get(key) or self._start(key, call, again or proceed)
            work = work.successor

    def keep_nothing(self, key: str) -> None:
        """Have nobody keep what works of `key`, or of one caller under it, come to: a later answer is to be kept."""
        for work in self._works.values():
            if work.key == key or work.key.startswith(f"{key}/"):
                work.keep = _nowhere

    async def close(self, timeout: float) -> None:
        """End all work, also what lingers, and wait at most `timeout` seconds for it."""
        for work in list(self._works.values()):
            self._end(work)
        if self._ending:
            await asyncio.wait(self._ending, timeout=timeout)

    def _start(self, key: str, call: Call[Request], proceed: Handler[Request]) -> Work:
        work = Work(key=key, call=call)
        self._works[key] = work
        # A name of its own is made up for each task that is given none.
        work.task = asyncio.get_running_loop().create_task(self._run(work, proceed), name="flight")
        return work

    async def _run(self, work: Work, proceed: Handler[Request]) -> None:
        flight = work.flight

        async def send(reply: Reply) -> None:
            if type(reply) is Delta:
                flight.say(reply.text)
                if flight.length > LONGEST:
                    raise StreamBroken("the answer does not end")
            elif type(reply) is Completed:
                flight.end(reply)
                if work.keep is not None and reply.may_be_kept and reply.finish_reason is FinishReason.STOP:
                    text, model = "".join(flight.pieces), work.call.outcome.model
                    await work.keep(Answer(text=text, finish_reason=reply.finish_reason, model=model))

        try:
            await proceed(replace(work.call, send=send, overtime=work.overtime))
            if flight.ending is None:
                self._fail(work, RuntimeError("the work ended before its answer did"))
        except asyncio.CancelledError as error:
            if _is_ending(work):
                work.is_final = True
                flight.end(Internal("the work was ended with the daemon"))
                raise
            # None of those who listen was cancelled: to them it is as unforeseen as any other error.
            self._fail(work, error)
        except BaseException as error:  # noqa: BLE001 - whoever listens is told
            self._fail(work, error)
        finally:
            self.landed += 1
            self._forget(work)

    def _fail(self, work: Work, error: BaseException) -> None:
        """End it with `error`; what nobody foresaw is in the log, and no caller is told of it."""
        if not can_be_told(error):
            work.is_final = True
            self._log.exception("a call failed unforeseen", error, **work.call.outcome.log_fields)
            error = Internal()
        let_go(error)
        work.flight.end(error)

    async def _listen(self, work: Work, call: Call[Request], keep: Keep | None) -> PenstockError | None:
        """Hand on what is said, at this caller's own pace; return the error if it ends in one.

        The last one to leave ends the work.
        """
        news: asyncio.Future[None] | None = None

        def wake() -> None:
            if news is not None and not news.done():
                news.set_result(None)

        flight = work.flight
        seat = flight.board(wake, wants_pieces=call.method.streams)
        work.keep = work.keep or keep
        limit = OwnLimit(call, work.overtime, self._clock, wake)
        outcome, first = call.outcome, work.call.outcome
        if outcome is not first:
            self._attend(work)
            self.joins += 1
            outcome.cache = CacheStatus.COALESCED
            _note_joining(work)
        try:
            ending = None
            while ending is None:
                text, ending = seat.read(), flight.ending
                if limit.is_over and (text or ending is None):
                    raise DeadlineExceeded("the deadline came before the end of the answer")
                if text:
                    outcome.model = first.model
                    await call.send(Delta(text))
                elif ending is None:
                    news = asyncio.get_running_loop().create_future()
                    await news
            if not isinstance(ending, Completed):
                return ending
            outcome.model = first.model
            await call.send(ending)
            return None
        finally:
            outcome.agent = first.agent
            limit.close()
            if flight.leave(seat):
                await self._desert(work)

    async def _desert(self, work: Work) -> None:
        """Nobody listens: end the work when nobody came back, or now; then what it used is known when this returns."""
        tenant = work.call.tenant
        linger = min(self._linger, work.overtime.until - self._clock.monotonic())
        if linger > 0 and len(self._left.get(tenant, ())) < LEFT_AT_MOST:
            work.timer = asyncio.get_running_loop().call_later(linger, self._end, work)
            self._left.setdefault(tenant, set()).add(work)
            return
        self._end(work)
        await asyncio.wait([work.task], timeout=SETTLING)

    def _end(self, work: Work) -> None:
        self._forget(work)
        self._ending.add(work.task)
        work.task.add_done_callback(self._ending.discard)
        work.task.cancel()

    def _attend(self, work: Work) -> None:
        """No longer count it among those that go on with nobody listening."""
        if work.timer is None:
            return
        work.timer.cancel()
        work.timer = None
        tenant = work.call.tenant
        left = self._left[tenant]
        left.remove(work)
        if not left:
            del self._left[tenant]

    def _forget(self, work: Work) -> None:
        self._attend(work)
        if self._works.get(work.key) is work:
            del self._works[work.key]


async def _nowhere(_: Answer) -> None:
    """Keep nothing."""


def _note_joining(work: Work) -> None:
    """Tell on the trace of the call that is being handled whose work it waits for."""
    if joined := present():
        joined.note(names.CACHE_EVENT, {names.PENSTOCK_CACHE_STATUS: CacheStatus.COALESCED})
        if work.trace is not None:
            joined.span.add_link(work.trace.span.get_span_context())


def _is_ending(work: Work) -> bool:
    """Whether all who were aboard have left it."""
    return work.task.cancelling() > 0
