"""Asking scripted models through the policies that stand around every model call, in no time at all."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fakes import virtual_time
from fakes.asking import METHOD, Heard
from fakes.scripted_model import Answer, ScriptedModel
from fakes.virtual_time import VirtualClock
from penstockd.call import Call, Handler, Interceptor, Send, chain
from penstockd.errors import PenstockError
from penstockd.interceptors.circuit_breaker import CircuitBreaker
from penstockd.interceptors.retry import Retry
from penstockd.logs.log import Log
from penstockd.metadata import Entries, Metadata
from penstockd.metrics.attempt_metrics import AttemptMetrics
from penstockd.metrics.instruments import Instruments
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.model import Model, Prompt, chosen
from penstockd.models.route import Route, priority
from penstockd.outcome import Outcome
from penstockd.request import Parameters, Role, Turn
from penstockd.resilience.backoff import Backoff
from penstockd.resilience.circuit import Transition
from penstockd.resilience.overtime import Overtime

T = TypeVar("T")


@dataclass
class Asked:
    """What came of one call: what its caller heard, and the error that ended it."""

    heard: Heard = field(default_factory=Heard)
    outcome: Outcome = field(default_factory=Outcome)
    error: BaseException | None = None
    seconds: float = 0.0

    @property
    def attempts(self) -> list[tuple[str, str]]:
        """Model and reason of each attempt."""
        return [(attempt.model, attempt.reason) for attempt in self.outcome.attempts]

    @property
    def refusal(self) -> PenstockError:
        """The error, which is one of ours."""
        assert isinstance(self.error, PenstockError), self.error
        return self.error


class ModelCalls:
    """Retry and circuit breaker around scripted models, on a clock of their own; jitter draws `draw`."""

    def __init__(
        self,
        *,
        max_attempts: int = 4,
        base_delay: float = 0.2,
        draw: float = 0.5,
        instruments: Instruments | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.changes: list[tuple[str, Transition]] = []
        self.instruments = instruments or Instruments()
        self._retry = Retry(
            clock=self.clock,
            backoff=Backoff(base_delay, 10.0, random=lambda: draw),
            max_attempts=max_attempts,
            metrics=AttemptMetrics(self.instruments, TenantLabels()),
            log=Log("test"),
        )
        self.handle = self.chain()

    def chain(self, *between: Interceptor[Prompt]) -> Handler[Prompt]:
        """Retry, those `between`, and circuit breaker around the models."""
        return chain([self._retry, *between, CircuitBreaker(clock=self.clock, changed=self._changed)], _answer)

    def model(self, name: str, *script: Answer, **options: Any) -> ScriptedModel:  # noqa: ANN401
        """A model on the same clock."""
        return ScriptedModel(name, *script, clock=self.clock, **options)

    def run(self, main: Coroutine[object, object, T]) -> T:
        """Run `main` to its end; once, as the clock's loop ends with it."""
        return virtual_time.run(self.clock, main)

    def answer(self, *models: ScriptedModel, **options: Any) -> Asked:  # noqa: ANN401
        """Make one call of `models`, as `ask`."""
        return self.run(self.ask(*models, **options))

    async def ask(
        self,
        *models: ScriptedModel,
        text: str = "hello",
        within: float = 30.0,
        streams: bool = True,
        metadata: Entries = (),
        send: Callable[[Asked], Send] = lambda asked: asked.heard.take,
        asked: Asked | None = None,
        overtime: Overtime | None = None,
    ) -> Asked:
        """Make one call of `models` in this order and return what came of it, whatever ended it."""
        asked = asked or Asked()
        now = self.clock.monotonic()
        call = Call(
            method=METHOD,
            request=a_prompt(models, text, streams=streams),
            send=send(asked),
            outcome=asked.outcome,
            started_at=now,
            expires_at=now + within,
            metadata=Metadata(metadata),
            overtime=overtime,
        )
        try:
            await self.handle(call)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the test looks at it
            asked.error = error
        asked.seconds = self.clock.monotonic() - now
        return asked

    async def cancelled(self, *models: ScriptedModel, after: float, **options: Any) -> Asked:  # noqa: ANN401
        """Make one call and cancel it `after` seconds."""
        task = asyncio.ensure_future(self.ask(*models, **options))
        await self.clock.sleep(after)
        task.cancel()
        return await task

    def _changed(self, model: Model, transition: Transition | None) -> None:
        if transition is not None:
            self.changes.append((model.name, transition))


def a_prompt(models: Sequence[ScriptedModel], text: str = "hello", *, streams: bool = True) -> Prompt:
    """A prompt for `models` in this order."""
    return Prompt(
        instructions="",
        turns=(Turn(Role.USER, text),),
        parameters=Parameters(max_output_tokens=100),
        route=Route([each.model for each in models], priority),
        streams=streams,
    )


async def _answer(call: Call[Prompt]) -> None:
    await chosen(call.request).answer(call)
