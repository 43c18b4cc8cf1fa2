"""One call's way through the models of its route: which to try next, and by when."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from math import inf, isinf

from penstockd import conventions as names
from penstockd.call import Call
from penstockd.clock import Clock
from penstockd.errors import DeadlineExceeded, PenstockError
from penstockd.frames import let_go
from penstockd.interceptors.attempts import conclusion
from penstockd.interceptors.attempts.choice import Choice
from penstockd.interceptors.attempts.room import Places
from penstockd.model import Model, Prompt, estimate
from penstockd.resilience.backoff import Backoff
from penstockd.resilience.circuit import State
from penstockd.resilience.deadline import MINIMUM, margin, reserve
from penstockd.tracing import present
from penstockd.upstream import Blocked, QuotaSpent, ToolCalled, TooLong, UpstreamFailure

_FOR_GOOD = (TooLong, QuotaSpent, ToolCalled, Blocked)
"""Failures that waiting does not mend and that open no circuit."""
LONGEST_WAIT_FOR_ROOM = 2.0
"""Seconds in all that a call waits where whoever could take it is full; a quarter of what is left, if that is less."""
EARLY = 0.001
"""Seconds by which an event loop may wake us too soon: it counts in milliseconds."""


class Trial:
    """Decides one call's attempts: each usable model once, without waiting, then a second round with backoff."""

    _repeats = 0
    _patience = LONGEST_WAIT_FOR_ROOM

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
        self._untried = call.request.route.order(streams=call.request.streams)
        self._repeatable: list[Model] = []
        self._failures: list[UpstreamFailure] = []
        self._not_before: dict[str, float] = {}

    async def next(self) -> Choice:
        """Return the next attempt to make, its permit taken, or raise what the call has come to."""
        if self._attempts_left == 0:
            raise self._conclusion()
        choice = self._free(self._untried) or await self._with_room(self._untried) or await self._repeat()
        self._attempts_left -= 1
        return choice

    def failed(self, choice: Choice, failure: UpstreamFailure, *, is_last: bool) -> None:
        """Note that an attempt failed, after which there is none if it `is_last`; raise if that ends the call."""
        if is_last:
            self._attempts_left = 0
        choice.attempt.reason = failure.reason
        choice.deposit()
        let_go(failure)
        self._failures.append(failure)
        not_before = self._clock.monotonic() + (failure.retry_after or 0.0)
        self._not_before[choice.model.name] = inf if isinstance(failure, _FOR_GOOD) else not_before
        error = conclusion.of_a_failure(failure, is_committed=choice.is_committed)
        if error is not None:
            raise error from failure
        if failure.may_repeat:
            self._repeatable.append(choice.model)

    def passed_over(self, choice: Choice) -> None:
        """Count no attempt where the circuit admitted none: nothing was sent. After a pause the model may be asked."""
        self._attempts_left += 1
        self._not_before[choice.model.name] = self._clock.monotonic() + self._backoff.pause()
        if choice.is_repeat:
            self._repeats -= 1
            self._repeatable.append(choice.model)
        else:
            self._untried.insert(0, choice.model)
        choice.refund()

    @cached_property
    def _tokens(self) -> int:
        return estimate(self._call.request).total

    def _free(self, models: Sequence[Model]) -> Choice | None:
        """Choose the first of `models` that can be asked at once."""
        for model in models:
            held = self._held(model)  # before there is a permit to be lost: not every text can be counted
            if model.permits.take() and (choice := self._choice(model, held)) is not None:
                return choice
        return None

    async def _with_room(self, models: Sequence[Model]) -> Choice | None:
        """Wait a little where one of `models` is merely full, or over what its provider grants us."""
        since = self._clock.monotonic()
        until = since + min(self._patience, self._remaining() / 4)
        if until - since < EARLY or not self._has_time() or all(self._back_in(model) > 0 for model in models):
            return None
        with Places() as places:
            choice = await self._first(models, places, until)
        self._patience = until - self._clock.monotonic()
        return choice or self._free(models)

    async def _first(self, models: Sequence[Model], places: Places, until: float) -> Choice | None:
        """Choose the first of `models` to have room before `until`; each is waited for once it is due.

        It is looked at then and not again, lest a crowd that waits for one grant do nothing else.
        """
        for due, model in sorted(((self._due(model), model) for model in models), key=lambda pair: pair[0]):
            if due >= until:
                break
            choice = await self._granted(places, due)
            if choice is not None:
                return choice
            await self._sleep_until(due)
            if self._wait(model) == 0 and self._is_affordable(model):
                places.enter(model)
        return await self._granted(places, until)

    async def _granted(self, places: Places, until: float) -> Choice | None:
        """Choose the first that grants us a permit before `until` and may be asked; None once no place is left."""
        while True:
            while (model := places.take()) is not None:
                if (choice := self._choice(model, self._held(model))) is not None:
                    return choice
            seconds = until - self._clock.monotonic()
            if not places.are_waiting or seconds < EARLY:
                return None
            await self._waited("room", places.wait(seconds))

    async def _sleep_until(self, due: float) -> None:
        seconds = due - self._clock.monotonic()
        if seconds >= EARLY:
            await self._waited("grant", self._clock.sleep(seconds))

    async def _repeat(self) -> Choice:
        """Wait out the backoff, then ask whoever can be, a model that failed before too; raise if nobody can."""
        pending = list(self._repeatable)
        while (found := self._soonest(pending)) is not None:
            await self._back_off(*found)
            models = [*self._untried, *self._repeatable]
            if choice := self._free(models) or await self._with_room(models):
                return choice
            pending = [model for model in pending if self._back_in(model) > 0]
        raise self._conclusion()

    def _soonest(self, models: Sequence[Model]) -> tuple[Model, float] | None:
        """The soonest repeat that its model's budget grants and that comes in time, and after how many seconds."""
        for model in sorted(models, key=self._back_in):
            delay = self._backoff.delay(self._repeats + 1, self._back_in(model) + EARLY)
            if model.breaker.state is not State.OPEN and self._has_time(after=delay) and self._is_affordable(model):
                return model, delay
        return None

    async def _back_off(self, model: Model, seconds: float) -> None:
        """Wait `seconds`, with a repeat kept in the model's budget: a crowd must not wait for what a few will get."""
        model.retries.withdraw()
        since = self._clock.monotonic()
        try:
            await self._waited("backoff", self._clock.sleep(seconds))
        finally:
            model.retries.refund(self._clock.monotonic() - since)

    def _choice(self, model: Model, held: int) -> Choice | None:
        """The attempt at a model whose permit is taken; if it may not be asked now, None, and the permit goes back."""
        is_repeat, remaining = model in self._repeatable, self._remaining()
        ending = margin(remaining)
        has_time = remaining - ending >= MINIMUM
        may_ask = has_time and self._back_in(model) == 0 and (not is_repeat or self._is_affordable(model))
        if not may_ask or (grant := model.allowance.take(held)) is None:
            model.permits.release()
            return None
        (self._repeatable if is_repeat else self._untried).remove(model)
        if is_repeat:
            model.retries.withdraw()
            self._repeats += 1
        kept = ending + (self._kept(remaining, ending) if self._untried else 0.0)
        why = self._failures[-1].reason if self._failures else ""
        return Choice(
            model, grant, self._call, self._clock, reserve=kept, margin=ending, is_repeat=is_repeat, reason_before=why
        )

    def _kept(self, remaining: float, ending: float) -> float:
        """Seconds in which the next usable model could still answer; none if this one would have too few then."""
        heir = next((model for model in self._untried if model.breaker.wait() == 0), None)
        kept = reserve(heir.latency_of(streams=self._call.request.streams).p95, remaining) if heir else 0.0
        return kept if remaining - ending - kept >= MINIMUM else 0.0

    async def _waited(self, what_for: str, waiting: Awaitable[None]) -> None:
        """Await `waiting`, and let the call know how long that took."""
        since = self._clock.monotonic()
        try:
            await waiting
        finally:
            seconds = self._clock.monotonic() - since
            self._call.outcome.waited += seconds
            self._told_of_wait(what_for, seconds)
            if trace := present():
                trace.note(names.WAIT_EVENT, {names.PENSTOCK_WAIT: what_for, names.PENSTOCK_WAIT_SECONDS: seconds})

    def _is_affordable(self, model: Model) -> bool:
        """Whether its retry budget grants it, if it would be a repeat."""
        return model not in self._repeatable or model.retries.available > 0

    def _has_time(self, *, after: float = 0.0) -> bool:
        """Whether an attempt that is started `after` seconds could still be answered."""
        remaining = self._remaining() - after
        return remaining - margin(remaining) >= MINIMUM

    def _held(self, model: Model) -> int:
        return self._tokens if model.allowance.tokens else 0

    def _remaining(self) -> float:
        return self._call.ends_at - self._clock.monotonic()

    def _conclusion(self) -> PenstockError:
        if not self._failures and not self._has_time():
            return DeadlineExceeded("too little time is left to ask a model")
        models = self._call.request.route.models
        if self._tokens > (most := max((model.allowance.most_tokens for model in models), default=inf)):
            return conclusion.of_a_size(self._tokens, most)
        soonest = min(self._wait(model, model.breaker.recovery()) for model in models)
        retry_after = None if isinf(soonest) else max(soonest, self._backoff.pause())
        unasked = [model.breaker.cause for model in self._untried]
        return conclusion.of_all(self._failures, unasked=unasked, retry_after=retry_after)

    def _due(self, model: Model) -> float:
        """When to look whether the model may be asked: at once, or when that should be so."""
        wait = self._wait(model)
        return self._clock.monotonic() + (wait + EARLY if wait else 0.0)

    def _wait(self, model: Model, admitted_in: float | None = None) -> float:
        """Seconds until the model may answer this request: inf if it never will, though asked again."""
        return max(self._back_in(model, admitted_in), model.allowance.wait(self._held(model)))

    def _back_in(self, model: Model, admitted_in: float | None = None) -> float:
        """Seconds for which the model is to be left alone, or its circuit is open; inf if that is for good."""
        not_before = self._not_before.get(model.name)
        circuit = model.breaker.wait() if admitted_in is None else admitted_in
        return circuit if not_before is None else max(not_before - self._clock.monotonic(), circuit)
