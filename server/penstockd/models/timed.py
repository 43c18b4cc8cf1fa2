"""How long one attempt at a model may take, by the model's own limits and by the caller's."""

from math import inf
from typing import Final, TypeAlias

from msgspec.structs import replace

from penstockd.call import Call, Completed, Handler, Reply
from penstockd.clock import Clock
from penstockd.model import Prompt, Timeouts
from penstockd.models.timer import Timer, TimerWheel, TimeUp
from penstockd.upstream import OutOfTime, SlowReader, TimedOut, UpstreamFailure

_Limit: TypeAlias = tuple[float, str]
"""When time is up, in monotonic seconds, and for what reason: none, where it is the caller's own time."""

_NEVER: Final[_Limit] = (inf, "")


class Timed:
    """Ends an attempt when its time is up: TimedOut if the model is to blame, OutOfTime if the caller's limit is.

    SlowReader says that the caller took too long over what the model said.
    """

    def __init__(self, answer: Handler[Prompt], *, timeouts: Timeouts, clock: Clock) -> None:
        self._answer = answer
        self._timeouts = timeouts
        self._clock = clock
        self._wheel = TimerWheel(clock)

    async def __call__(self, call: Call[Prompt]) -> None:
        """Answer `call` in time; whatever else ends it, a cancellation or a TimeoutError of `send` too, passes.

        An answer that was handed on whole stands, however long its provider takes to end.
        """
        timer = Timer(self._clock, self._wheel)
        watch, overtime = _Watch(call, self._timeouts, self._clock, timer), call.overtime
        granted = watch.granted
        if overtime is not None:
            overtime.watch(granted)
        try:
            with timer:
                watch.wait()
                prompt = call.request
                if prompt.streams:
                    prompt = replace(prompt, thought=watch.heard)
                await self._answer(replace(call, request=prompt, send=watch.send))
        except TimeUp as error:
            if not watch.is_whole:
                raise watch.verdict() from error
        finally:
            watch.end()
            if overtime is not None:
                overtime.unwatch(granted)


class _Watch:
    """Keeps one attempt's timer at the limit that comes next.

    What the model says ends its silence, be it shown or not; only what is shown is content.
    """

    def __init__(self, call: Call[Prompt], timeouts: Timeouts, clock: Clock, timer: Timer) -> None:
        self._call = call
        self._timeouts = timeouts
        self._clock = clock
        self._timer = timer
        self._started_at = clock.monotonic()
        self._has_content = False
        self._is_sending = False
        self._is_over = False
        self.is_whole = False
        self._whole = self._limit = self._until_whole()
        self._silence = self._until_said(timeouts.first_token, "first_token_timeout")

    def granted(self) -> None:
        """Go on past the caller's limit."""
        self._whole = self._until_whole()
        self.wait()

    def wait(self) -> None:
        """Wait for the model to go on."""
        limit = min(self._whole, self._silence)
        self._arm(limit if self._has_content else min(limit, self._until_content()))

    def heard(self) -> None:
        """Count the model's silence from now on."""
        self._silence = self._until_said(self._timeouts.idle, "idle_timeout")
        self.wait()

    async def send(self, reply: Reply) -> None:
        """Hand `reply` on; the model's silence counts from when that is done, since a slow reader is not its fault."""
        self._is_sending = True
        if not self._has_content or self._silence is not _NEVER:
            self._has_content = True
            self._silence = _NEVER
            self.wait()
        await self._call.send(reply)
        self._is_sending = False
        self.is_whole = type(reply) is Completed
        if self._call.request.streams:
            self.heard()

    def end(self) -> None:
        """Leave the timer alone from now on: what the attempt left behind may still speak, and end the next one."""
        self._is_over = True

    def verdict(self) -> UpstreamFailure:
        """Whose fault it was that the time ran out."""
        due, reason = self._limit
        given = due - self._started_at
        # A unary answer waits for nobody to read it, only for our own books.
        if reason and self._is_sending and self._call.request.streams:
            return SlowReader(f"{reason} after {given:.3g} s, for want of a faster reader")
        if reason:
            return TimedOut(f"{reason} after {given:.3g} s", reason=reason)
        return OutOfTime(f"the caller's time was up after {given:.3g} s")

    def _until_whole(self) -> _Limit:
        ends_at = self._call.ends_at - self._call.request.margin
        return min((ends_at, ""), (self._started_at + self._timeouts.total, "total_timeout"))

    def _until_content(self) -> _Limit:
        return self._call.ends_at - self._call.request.reserve, ""

    def _until_said(self, seconds: float, reason: str) -> _Limit:
        return (self._clock.monotonic() + seconds, reason) if self._call.request.streams else _NEVER

    def _arm(self, limit: _Limit) -> None:
        if not self._is_over:
            self._limit = limit
            due, _ = limit
            self._timer.move(due)
