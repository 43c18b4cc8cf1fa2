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
        if overtime is not None:
            overtime.watchers.add(watch.granted)
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
            watch.is_over = True
            if overtime is not None:
                overtime.watchers.discard(watch.granted)


class _Watch:
    """Keeps one attempt's timer at the limit that comes next.

    What the model says ends its silence, be it shown or not; only what is shown is content. Once it `is_over`, the
    timer is left alone: what the attempt left behind may still speak, and end the next one.
    """

    is_over = False
    is_whole = False

    def __init__(self, call: Call[Prompt], timeouts: Timeouts, clock: Clock, timer: Timer) -> None:
        self._call = call
        self._streams = call.request.streams
        self._timeouts = timeouts
        self._clock = clock
        self._timer = timer
        self._started_at = now = clock.monotonic()
        self._whole, self._content = self._limits()
        self._silence = (now + timeouts.first_token, "first_token_timeout") if self._streams else _NEVER

    def granted(self) -> None:
        """Go on past the caller's limit."""
        self._whole, content = self._limits()
        if self._content is not _NEVER:
            self._content = content
        self.wait()

    def wait(self) -> None:
        """Wait for the model to go on."""
        if not self.is_over:
            self._limit = min(self._whole, self._content, self._silence)
            self._timer.move(self._limit[0])

    def heard(self) -> None:
        """Count the model's silence anew, unless something is being handed on: then none counts."""
        if self._silence is not _NEVER:
            self._listen()

    async def send(self, reply: Reply) -> None:
        """Hand `reply` on; the model's silence counts from when that is done, since a slow reader is not its fault."""
        self._content = self._silence = _NEVER
        if self._limit is not self._whole:  # which comes first in `wait` among equals, and is what is left
            self.wait()
        await self._call.send(reply)
        self.is_whole = type(reply) is Completed
        if self._streams:
            self._listen()

    def verdict(self) -> UpstreamFailure:
        """Whose fault it was that the time ran out."""
        due, reason = self._limit
        given = due - self._started_at
        # No silence counts while something is handed on. A unary answer waits for nobody to read it, only for books.
        if reason and self._streams and self._silence is _NEVER:
            return SlowReader(f"{reason} after {given:.3g} s, for want of a faster reader")
        if reason:
            return TimedOut(f"{reason} after {given:.3g} s", reason=reason)
        return OutOfTime(f"the caller's time was up after {given:.3g} s")

    def _listen(self) -> None:
        self._silence = (self._clock.monotonic() + self._timeouts.idle, "idle_timeout")
        self.wait()

    def _limits(self) -> tuple[_Limit, _Limit]:
        """When the answer must be whole, by the caller and by the model, and when its content must have begun."""
        ends_at, prompt = self._call.ends_at, self._call.request
        whole = min((ends_at - prompt.margin, ""), (self._started_at + self._timeouts.total, "total_timeout"))
        return whole, (ends_at - prompt.reserve, "")
