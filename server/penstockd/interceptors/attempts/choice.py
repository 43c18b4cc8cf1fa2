"""One attempt that the retry loop has decided on."""

from asyncio import CancelledError
from collections.abc import Awaitable

from msgspec.structs import replace

from penstockd import conventions as names
from penstockd.call import Call, Completed, Reply
from penstockd.clock import Clock
from penstockd.errors import Internal
from penstockd.model import Model, Prompt
from penstockd.outcome import Attempt, FinishReason, can_be_told
from penstockd.resilience.allowance import Grant


class Choice:
    """One attempt about to be made: it holds its model's permit, and knows whether its answer has begun."""

    is_committed = False
    finish_reason: FinishReason | None = None

    def __init__(
        self,
        model: Model,
        grant: Grant,
        caller: Call[Prompt],
        clock: Clock,
        *,
        reserve: float,
        margin: float,
        is_repeat: bool,
        reason_before: str,
    ) -> None:
        """A repeat has just been withdrawn from the retry budget, and `grant` from what the provider grants.

        `reserve` and `margin` are the seconds that its prompt is told of.
        """
        self.model = model
        self.is_repeat = is_repeat
        self.attempt = Attempt(
            model=model.name,
            ordinal=next(caller.outcome.ordinals),
            started_at=clock.monotonic(),
            grant=grant,
            reason_before=reason_before,
        )
        self._caller = caller
        self._clock = clock
        self._reserve = reserve
        self._margin = margin

    def send(self, reply: Reply) -> Awaitable[None]:
        """Hand a reply to the caller: from its first content on, there is no other attempt."""
        if not self.is_committed:
            self.is_committed = True
            self._caller.outcome.model = self.model.name
        if type(reply) is Completed:
            self.finish_reason = reply.finish_reason
            self.attempt.ended_at = self._clock.monotonic()
        return self._caller.send(reply)

    def call(self) -> Call[Prompt]:
        """The call to make of this model."""
        prompt = replace(
            self._caller.request,
            model=self.model,
            attempt=self.attempt,
            reserve=self._reserve,
            margin=self._margin,
        )
        return replace(self._caller, request=prompt, send=self.send)

    def end(self) -> None:
        """Give the permit back, however the attempt ended."""
        self.model.permits.release()
        if self.attempt.ended_at is None:
            self.attempt.ended_at = self._clock.monotonic()

    def deposit(self) -> None:
        """Count a first try that ended by itself, for the retry budget."""
        if not self.is_repeat:
            self.model.retries.deposit()

    def abandon(self, error: BaseException) -> None:
        """Note that `error` ended it by no fault of its model's, unless it was answered by then."""
        if not self.attempt.is_complete:
            self.attempt.reason = _reason(error)
        self.refund()

    def refund(self) -> None:
        """Leave the retry budget as it was, and the provider's grant where nothing was sent."""
        if self.is_repeat:
            self.model.retries.refund(self._clock.monotonic() - self.attempt.started_at)
        if not any(attempt is self.attempt for attempt in self._caller.outcome.attempts):
            self.model.allowance.give_back_request(self.attempt.grant)


def _reason(error: BaseException) -> str:
    """Why an attempt ended that its caller left, or that an error of ours cut short."""
    if isinstance(error, CancelledError):
        return names.CANCELLED
    return error.reason.lower() if can_be_told(error) else Internal.reason.lower()
