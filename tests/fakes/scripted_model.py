"""A model of the pool that does what its script says, call by call, as a provider would."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from penstockd.call import Call, Completed, Delta
from penstockd.clock import Clock
from penstockd.model import Model, Price, Prompt, Timeouts
from penstockd.models.timed import Timed
from penstockd.outcome import FinishReason
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.breaker import CircuitBreaker
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.resilience.latency import Latency
from penstockd.resilience.permits import Permits
from penstockd.resilience.retry_budget import RetryBudget
from penstockd.usage import Usage

HANGS = float("inf")
"""A step that never ends."""


@dataclass(frozen=True)
class Thought:
    """So many bytes of reasoning, which nobody is sent."""

    size: int


Step: TypeAlias = str | float | Usage | Thought | FinishReason | BaseException | asyncio.Event
"""Text is sent, seconds pass, usage is reported, a thought is had, an end chosen, an error raised, an event awaited."""

Answer: TypeAlias = Step | Sequence[Step]
"""What one call does; it completes unless it raises."""

UNTROUBLED = BreakerPolicy(min_calls=1_000_000, consecutive_failures=1_000_000)
"""The policy of a breaker that stays closed whatever fails."""


class ScriptedModel:
    """Answers each call with the next of its script, then with "ok"; `calls` are those that reached it."""

    def __init__(
        self,
        name: str,
        *script: Answer,
        clock: Clock,
        policy: BreakerPolicy = UNTROUBLED,
        timeouts: Timeouts | None = None,
        price: Price | None = None,
        max_in_flight: int = 100,
        allowance: Allowance | None = None,
        budget: RetryBudget | None = None,
    ) -> None:
        self.calls: list[Call[Prompt]] = []
        self._clock = clock
        self._script = iter(script)
        limits = timeouts or Timeouts()
        self.model = Model(
            name=name,
            provider="scripted",
            upstream_name=f"{name}-upstream",
            answer=Timed(self._answer, timeouts=limits, clock=clock),
            price=price,
            breaker=CircuitBreaker(policy, clock, lambda: 0.5),
            permits=Permits(max_in_flight),
            retries=budget or RetryBudget(clock),
            first_tokens=Latency(clock),
            whole_answers=Latency(clock),
            allowance=allowance or Allowance(),
            grants={"requests": "10/s", "tokens": "1000/s"},
        )

    @property
    def name(self) -> str:
        """Its name in the pool."""
        return self.model.name

    @property
    def in_flight(self) -> int:
        """How many permits of it are out."""
        return self.model.permits.in_flight

    @property
    def repeats_left(self) -> int:
        """How many repeats its retry budget still allows: 10 of one that nobody touched."""
        return self.model.retries.available

    async def _answer(self, call: Call[Prompt]) -> None:
        self.calls.append(call)
        answer = next(self._script, "ok")
        finish_reason = FinishReason.STOP
        for step in [answer] if isinstance(answer, str) or not isinstance(answer, Sequence) else answer:
            if isinstance(step, FinishReason):
                finish_reason = step
                continue
            await self._do(step, call)
        await call.send(Completed(finish_reason=finish_reason, usage=call.request.attempt.usage))

    async def _do(self, step: Step, call: Call[Prompt]) -> None:
        await asyncio.sleep(0)
        match step:
            case str():
                await call.send(Delta(step))
            case float() if step == HANGS:
                await asyncio.Event().wait()
            case float():
                await self._clock.sleep(step)
            case Usage():
                call.request.attempt.usage = step
            case Thought(size=size):
                call.request.attempt.bytes_unsaid += size
                call.request.thought()
            case BaseException():
                raise step
            case asyncio.Event():
                await step.wait()
