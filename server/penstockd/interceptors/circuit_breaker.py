"""Reports every attempt to its model's circuit breaker, and keeps attempts away from an open one."""

from collections.abc import Awaitable

from msgspec import Struct
from msgspec.structs import replace

from penstockd.call import Call, Completed, Handler, Reply
from penstockd.clock import Clock
from penstockd.model import Changed, Model, Prompt, chosen
from penstockd.outcome import Attempt
from penstockd.resilience.circuit import Ticket
from penstockd.resilience.latency import Latency
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
        model, attempt = chosen(prompt), prompt.attempt
        ticket = model.breaker.admit()
        if ticket is None:
            message = f"the circuit of {model.name} is open"
            raise PassedOver(message)
        call.outcome.attempts.append(attempt)
        attempt.asked_at = asked_at = self._clock.monotonic()
        report = _Report(
            model=model,
            ticket=ticket,
            call=call,
            attempt=attempt,
            asked_at=asked_at,
            latency=model.latency_of(streams=prompt.streams),
            clock=self._clock,
            changed=self._changed,
        )
        if ticket.transition is not None:
            self._changed(model, ticket.transition)
        try:
            await proceed(replace(call, send=report.send))
        except UpstreamFailure as failure:
            report.failed(failure)
            raise
        finally:
            report.end()


class _Report(Struct, eq=False, kw_only=True):
    """What becomes of one attempt, as far as its model's breaker is to know."""

    model: Model
    ticket: Ticket
    call: Call[Prompt]
    attempt: Attempt
    asked_at: float
    latency: Latency
    clock: Clock
    changed: Changed
    has_verdict: bool = False

    def __repr__(self) -> str:
        return f"<_Report of {self.model.name}>"

    def send(self, reply: Reply) -> Awaitable[None]:
        if not self.has_verdict:
            self.has_verdict = True
            now = self.clock.monotonic()
            if self.call.request.streams:
                self.attempt.first_chunk_at = now
            self.latency.observe(now - self.asked_at)
            if (transition := self.model.breaker.succeeded(self.ticket)) is not None:
                self.changed(self.model, transition)
        if type(reply) is Completed:
            self.attempt.answered_at = self.clock.monotonic()
        return self.call.send(reply)

    def failed(self, failure: UpstreamFailure) -> None:
        breaker = self.model.breaker
        match failure.blame:
            case Blame.FAILURE:
                self.has_verdict = True
                self.changed(self.model, breaker.failed(self.ticket, failure.reason))
            case Blame.MISCONFIGURED:
                self.has_verdict = True
                self.changed(self.model, breaker.trip(failure.reason, MISCONFIGURED_FOR, ticket=self.ticket))
            case Blame.COOLDOWN:
                breaker.cool_down(failure.retry_after)
                breaker.came_to_nothing()
            case Blame.NONE:
                if self._was_futile(failure):
                    breaker.came_to_nothing()

    def end(self) -> None:
        """Note when it was over, and give a probe's place back if nobody learned anything about the model."""
        if self.attempt.answered_at is None:
            self.attempt.answered_at = self.clock.monotonic()
        if not self.has_verdict:
            self.changed(self.model, self.model.breaker.released(self.ticket))

    def _was_futile(self, failure: UpstreamFailure) -> bool:
        """Whether the next caller may fare no better, though nobody is to blame: not if it was this request's fault.

        A model that stayed silent for longer than it usually does may do so again, whoever ended it.
        """
        if isinstance(failure, OutOfTime):
            given = self.clock.monotonic() - self.asked_at
            # A whole answer takes at least as long as its first token.
            usual = self.latency.ewma or self.model.first_tokens.ewma or 0.0
            return not self.has_verdict and given > usual
        return not failure.is_callers_affair
