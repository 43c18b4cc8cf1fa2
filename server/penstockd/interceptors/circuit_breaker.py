"""Reports every attempt to its model's circuit breaker, and keeps attempts away from an open one."""

from collections.abc import Awaitable

from msgspec.structs import replace

from penstockd.call import Call, Completed, Handler, Reply
from penstockd.clock import Clock
from penstockd.model import Changed, Model, Prompt, chosen
from penstockd.resilience.circuit import Ticket
from penstockd.upstream import Blame, OutOfTime, PassedOver, UpstreamFailure

MISCONFIGURED_FOR = 300.0
"""Seconds a model stays open after it rejected our key or its own name."""


class CircuitBreaker:
    """Admits an attempt by its model's breaker; first content is the verdict, a later break a failure of its own."""

    def __init__(self, *, clock: Clock, changed: Changed) -> None:
        """Tell `changed` of every change of a circuit's state."""
        self._clock = clock
        self._changed = changed

    async def __call__(self, call: Call[Prompt], proceed: Handler[Prompt]) -> None:
        """Proceed if the circuit lets the attempt pass, which is then on record; else raise PassedOver."""
        prompt = call.request
        model = chosen(prompt)
        ticket = model.breaker.admit()
        if ticket is None:
            message = f"the circuit of {model.name} is open"
            raise PassedOver(message)
        call.outcome.attempts.append(prompt.attempt)
        report = _Report(model, ticket, call, self._clock, self._changed)
        prompt.attempt.asked_at = report.asked_at
        if ticket.transition is not None:
            self._changed(model, ticket.transition)
        try:
            await proceed(replace(call, send=report.send))
        except UpstreamFailure as failure:
            report.failed(failure)
            raise
        finally:
            report.end()


class _Report:
    """What becomes of one attempt, as far as its model's breaker is to know."""

    def __init__(self, model: Model, ticket: Ticket, call: Call[Prompt], clock: Clock, changed: Changed) -> None:
        self._model = model
        self._ticket = ticket
        self._call = call
        self._clock = clock
        self._changed = changed
        self._latency = model.latency_of(streams=call.request.streams)
        self._attempt = call.request.attempt
        self.asked_at = clock.monotonic()
        self._has_verdict = False

    def send(self, reply: Reply) -> Awaitable[None]:
        if not self._has_verdict:
            self._has_verdict = True
            now = self._clock.monotonic()
            if self._call.request.streams:
                self._attempt.first_chunk_at = now
            self._latency.observe(now - self.asked_at)
            if (transition := self._model.breaker.succeeded(self._ticket)) is not None:
                self._changed(self._model, transition)
        if type(reply) is Completed:
            self._attempt.answered_at = self._clock.monotonic()
        return self._call.send(reply)

    def failed(self, failure: UpstreamFailure) -> None:
        breaker = self._model.breaker
        match failure.blame:
            case Blame.FAILURE:
                self._has_verdict = True
                self._changed(self._model, breaker.failed(self._ticket, failure.reason))
            case Blame.MISCONFIGURED:
                self._has_verdict = True
                self._changed(self._model, breaker.trip(failure.reason, MISCONFIGURED_FOR, ticket=self._ticket))
            case Blame.COOLDOWN:
                breaker.cool_down(failure.retry_after)
                breaker.came_to_nothing()
            case Blame.NONE:
                if self._was_futile(failure):
                    breaker.came_to_nothing()

    def end(self) -> None:
        """Note when it was over, and give a probe's place back if nobody learned anything about the model."""
        if self._attempt.answered_at is None:
            self._attempt.answered_at = self._clock.monotonic()
        if not self._has_verdict:
            self._changed(self._model, self._model.breaker.released(self._ticket))

    def _was_futile(self, failure: UpstreamFailure) -> bool:
        """Whether the next caller may fare no better, though nobody is to blame: not if it was this request's fault.

        A model that stayed silent for longer than it usually does may do so again, whoever ended it.
        """
        if isinstance(failure, OutOfTime):
            given = self._clock.monotonic() - self.asked_at
            # A whole answer takes at least as long as its first token.
            usual = self._latency.ewma or self._model.first_tokens.ewma or 0.0
            return not self._has_verdict and given > usual
        return not failure.is_callers_affair
