"""How long one attempt at a model may take, by the model's own limits and by the caller's."""

from math import inf

from msgspec.structs import replace

from penstockd.call import Call, Handler, Reply
from penstockd.clock import Clock
from penstockd.model import Prompt, Timeouts
from penstockd.models.timer import Timer, TimeUp
from penstockd.upstream import OutOfTime, TimedOut, UpstreamFailure


class Timed:
    """Ends an attempt when its time is up: TimedOut if the model is to blame, OutOfTime if the caller's limit is."""

    def __init__(self, answer: Handler[Prompt], *, timeouts: Timeouts, clock: Clock) -> None:
        self._answer = answer
        self._timeouts = timeouts
        self._clock = clock

    async def __call__(self, call: Call[Prompt]) -> None:
        """Answer `call` in time; whatever else ends it, a cancellation or a TimeoutError of `send` too, passes."""
        timer = Timer(self._clock)
        watch, overtime = _Watch(call, self._timeouts, self._clock, timer), call.overtime
        granted = watch.granted
        if overtime is not None:
            overtime.watch(granted)
        try:
            with timer:
                watch.start()
                await self._answer(replace(call, send=watch.send))
        except TimeUp as error:
            raise watch.verdict() from error
        finally:
            if overtime is not None:
                overtime.unwatch(granted)


class _Watch:
    """Keeps one attempt's timer at the limit that comes next.

    A limit is when it falls due and the reason it then gives; an empty reason is the caller's own time.
    """

    def __init__(self, call: Call[Prompt], timeouts: Timeouts, clock: Clock, timer: Timer) -> None:
        self._call = call
        self._timeouts = timeouts
        self._clock = clock
        self._timer = timer
        self._started_at = clock.monotonic()
        self._has_content = False
        self._is_sending = False
        self._whole = self._limit = self._until_whole()

    def granted(self) -> None:
        """Go on past the caller's limit, if that is what comes next."""
        self._whole = self._until_whole()
        if self._limit[1]:
            return
        if self._has_content:
            self._arm(self._whole)
        else:
            self.start()

    def start(self) -> None:
        """Wait for the first content."""
        self._arm(min(self._whole, *self._until_content()))

    async def send(self, reply: Reply) -> None:
        """Hand `reply` on; the model's silence counts from when that is done, since a slow reader is not its fault."""
        self._has_content = True
        self._is_sending = True
        self._arm(self._whole)
        await self._call.send(reply)
        self._is_sending = False
        if self._call.request.streams:
            self._arm(min(self._whole, (self._clock.monotonic() + self._timeouts.idle, "idle_timeout")))

    def verdict(self) -> UpstreamFailure:
        """Whose fault it was that the time ran out.

        A model that had its whole `first_token` and said nothing is to blame even if a caller's deadline ended it:
        otherwise a hanging model would never open its breaker.
        """
        due, reason = self._limit
        given = due - self._started_at
        if not self._has_content and not reason and given >= self._timeouts.first_token:
            reason = "first_token_timeout"
        if reason and not self._is_sending:
            return TimedOut(f"{reason} after {given:.3g} s", reason=reason)
        return OutOfTime(f"the caller's time was up after {given:.3g} s")

    def _until_whole(self) -> tuple[float, str]:
        ends_at = self._call.ends_at - self._call.request.margin
        return min((ends_at, ""), (self._started_at + self._timeouts.total, "total_timeout"))

    def _until_content(self) -> list[tuple[float, str]]:
        prompt = self._call.request
        granted = max(self._call.ends_at - prompt.planned_until, 0.0) if prompt.planned_until < inf else 0.0
        limits = [(prompt.first_content_by + granted, "")]
        if prompt.streams:
            limits.append((self._started_at + self._timeouts.first_token, "first_token_timeout"))
        return limits

    def _arm(self, limit: tuple[float, str]) -> None:
        self._limit = limit
        self._timer.move(limit[0])
