"""One call's way through the models of its route: which to try next, and by when."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from functools import cached_property
from math import inf, isinf
from typing import TypeVar

from penstockd import conventions as names
from penstockd.call import Call
from penstockd.clock import Clock
from penstockd.errors import DeadlineExceeded, PenstockError
from penstockd.interceptors.attempts import conclusion
from penstockd.interceptors.attempts.choice import Choice
from penstockd.interceptors.attempts.room import first_room
from penstockd.model import Model, Prompt, estimate
from penstockd.resilience.backoff import Backoff
from penstockd.resilience.circuit import State
from penstockd.resilience.deadline import MINIMUM, NO_NEXT, first_content_by, margin
from penstockd.tracing import present
from penstockd.upstream import QuotaSpent, ToolCalled, TooLong, UpstreamFailure

T = TypeVar("T")

_FOR_GOOD = (TooLong, QuotaSpent, ToolCalled)
"""Failures that waiting does not mend and that open no circuit."""
LONGEST_WAIT_FOR_ROOM = 2.0
"""Seconds a call waits when every model that could take it is full; a quarter of what is left, if that is less."""


class Trial:
    """Decides one call's attempts: each usable model once, without waiting, then a second round with backoff."""

    def __init__(
        self,
        call: Call[Prompt],
        *,
        clock: Clock,
        backoff: Backoff,
        max_attempts: int,
        told_of_wait: Callable[[str, float], None],
    ) -> None:
        """Fix the order of the models for this call; `told_of_wait` learns what it waited for, and how long."""
        self._call = call
        self._clock = clock
        self._backoff = backoff
        self._attempts_left = max_attempts
        self._told_of_wait = told_of_wait
        self._untried = list(call.request.route.order())
        self._repeatable: list[tuple[Model, float]] = []
        self._failures: list[UpstreamFailure] = []
        self._asked: dict[str, float] = {}
        self._repeats = 0
        self._has_waited_for_room = False

    async def next(self) -> Choice:
        """Return the next attempt to make, its permit taken, or raise what the call has come to."""
        if self._attempts_left == 0:
            raise self._conclusion()
        if self._remaining() - margin(self._remaining()) < MINIMUM:
            raise self._out_of_time()
        choice = self._fresh() or await self._with_room() or await self._repeat()
        self._attempts_left -= 1
        return choice

    @property
    def reason_before(self) -> str:
        """Why the attempt before ended; empty for the first."""
        return self._failures[-1].reason if self._failures else ""

    def call(self, choice: Choice) -> Call[Prompt]:
        """The call to make for `choice`, its time split so that the next usable model could still answer."""
        now = self._clock.monotonic()
        heir = next((model for model in self._untried if model.breaker.wait() == 0), None)
        by = first_content_by(now, self._call.ends_at, heir.latency.p95 if heir else NO_NEXT)
        if by - now < MINIMUM:
            by = first_content_by(now, self._call.ends_at, NO_NEXT)
        return choice.call(first_content_by=by, margin=margin(self._remaining()))

    def answered(self, choice: Choice) -> None:
        """Note that an attempt answered."""
        choice.deposit()

    def failed(self, choice: Choice, failure: UpstreamFailure) -> None:
        """Note that an attempt failed; raise if that ends the call."""
        choice.attempt.reason = failure.reason
        choice.deposit()
        self._failures.append(failure)
        not_before = self._clock.monotonic() + (failure.retry_after or 0.0)
        self._asked[choice.model.name] = inf if isinstance(failure, _FOR_GOOD) else not_before
        error = conclusion.of_a_failure(failure, is_committed=choice.is_committed)
        if error is not None:
            raise error from failure
        if failure.may_repeat:
            self._repeatable.append((choice.model, not_before))

    def passed_over(self, choice: Choice) -> None:
        """Count no attempt where the circuit admitted none: nothing was sent."""
        self._attempts_left += 1
        choice.refund()

    def abandoned(self, choice: Choice) -> None:
        """Note that an attempt ended by no fault of its model's; the retry budget stays as it was."""
        if not choice.attempt.is_complete:
            choice.attempt.reason = "cancelled"
        choice.refund()

    @cached_property
    def _tokens(self) -> int:
        return estimate(self._call.request).total

    def _fresh(self) -> Choice | None:
        """Choose the next untried model that can be asked at once."""
        for model in self._untried:
            if model.breaker.wait() == 0 and self._take(model):
                return self._first_try(model)
        return None

    async def _with_room(self) -> Choice | None:
        """Wait, once, for an untried model that is merely full, or over what its provider grants us."""
        passing = [model for model in self._untried if model.breaker.wait() == 0]
        if not passing or self._has_waited_for_room:
            return None
        self._has_waited_for_room = True
        longest = min(LONGEST_WAIT_FOR_ROOM, self._remaining() / 4)
        full = [model for model in passing if self._is_granted(model)]
        if not full:
            soonest = min(model.allowance.wait(self._tokens) for model in passing)
            if soonest > longest:
                return None
            await self._waited("grant", self._clock.sleep(soonest))
            return self._fresh()
        model = await self._waited("room", first_room(full, longest))
        if model is None:
            return None
        if not model.allowance.take(self._held(model)):
            model.permits.release()
            return None
        return self._first_try(model)

    async def _repeat(self) -> Choice:
        """Wait out the backoff, then ask a model again that failed before; raise if that cannot help."""
        found = self._repeat_within_budget()
        if found is None:
            raise self._conclusion()
        repeatable, delay = found
        model, _ = repeatable
        self._repeats += 1
        withdrawn_at = self._clock.monotonic()
        try:
            await self._waited("backoff", self._clock.sleep(delay))
        except CancelledError:
            model.retries.refund(self._clock.monotonic() - withdrawn_at)
            raise
        if not self._take(model):
            model.retries.refund(self._clock.monotonic() - withdrawn_at)
            raise self._conclusion()
        self._repeatable.remove(repeatable)
        return Choice(model, self._call, self._clock, held_tokens=self._held(model), withdrawn_at=withdrawn_at)

    async def _waited(self, what_for: str, waiting: Awaitable[T]) -> T:
        """Return what `waiting` comes to, and let the call know how long that took."""
        since = self._clock.monotonic()
        try:
            return await waiting
        finally:
            seconds = self._clock.monotonic() - since
            self._call.outcome.waited += seconds
            self._told_of_wait(what_for, seconds)
            if trace := present():
                trace.note(names.WAIT_EVENT, {names.PENSTOCK_WAIT: what_for, names.PENSTOCK_WAIT_SECONDS: seconds})

    def _is_granted(self, model: Model) -> bool:
        return model.allowance.wait(self._held(model)) == 0

    def _held(self, model: Model) -> int:
        return self._tokens if model.allowance.tokens else 0

    def _take(self, model: Model) -> bool:
        """Take the model's permit, and of its provider's grant what the call may use; both or neither."""
        held = self._held(model)
        if not model.permits.take():
            return False
        if model.allowance.take(held):
            return True
        model.permits.release()
        return False

    def _first_try(self, model: Model) -> Choice:
        self._untried.remove(model)
        return Choice(model, self._call, self._clock, held_tokens=self._held(model), withdrawn_at=None)

    def _repeat_within_budget(self) -> tuple[tuple[Model, float], float] | None:
        """The soonest repeat that its model's budget grants and that comes in time, and after how many seconds."""
        now = self._clock.monotonic()
        waits = [
            (max(not_before - now, model.breaker.wait()), (model, not_before))
            for model, not_before in self._repeatable
            if model.breaker.state is not State.OPEN
        ]
        for wait, repeatable in sorted(waits, key=lambda item: item[0]):
            delay = self._backoff.delay(self._repeats + 1, wait)
            if delay < self._remaining() - margin(self._remaining()) and repeatable[0].retries.withdraw():
                return repeatable, delay
        return None

    def _remaining(self) -> float:
        return self._call.ends_at - self._clock.monotonic()

    def _out_of_time(self) -> PenstockError:
        return self._conclusion() if self._failures else DeadlineExceeded("too little time is left to ask a model")

    def _conclusion(self) -> PenstockError:
        models = self._call.request.route.models
        most = max((model.allowance.most_tokens for model in models), default=inf)
        if self._tokens > most:
            return conclusion.of_a_size(self._tokens, most)
        soonest = min(map(self._wait, models))
        retry_after = None if isinf(soonest) else max(soonest, self._backoff.pause())
        unasked = [model.breaker.cause for model in models if model.name not in self._asked]
        return conclusion.of_all(self._failures, unasked=unasked, retry_after=retry_after)

    def _wait(self, model: Model) -> float:
        """Seconds until the model may answer this request: inf if it never will, though asked again."""
        left_alone = self._asked.get(model.name, 0.0) - self._clock.monotonic()
        return max(left_alone, model.breaker.wait(), model.allowance.wait(self._held(model)))
