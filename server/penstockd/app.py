"""The composition root: builds everything from the settings, and anew when they change."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from penstockd.agent import Directory
from penstockd.agent_builder import AgentBuilder
from penstockd.call import Call, Handler, Q, chain
from penstockd.clock import Clock, SystemClock
from penstockd.config import ConfigErrors, Settings
from penstockd.endpoint import Endpoint
from penstockd.exporters import Exporters, exporters
from penstockd.grpc_adapter import Adapter
from penstockd.health import Health
from penstockd.interceptors.auth import Auth, everyone_is
from penstockd.interceptors.circuit_breaker import CircuitBreaker
from penstockd.interceptors.deadline import Deadline
from penstockd.interceptors.meter import Meter
from penstockd.interceptors.retry import Retry
from penstockd.interceptors.shed import Shed
from penstockd.interceptors.telemetry import Telemetry
from penstockd.log import Log
from penstockd.model import Model, Prompt, chosen
from penstockd.models.pool import Pool
from penstockd.pool_builder import PoolBuilder
from penstockd.request import Request
from penstockd.resilience.backoff import Backoff
from penstockd.resilience.circuit import State, Transition
from penstockd.resilience.permits import Permits
from penstockd.service import SERVICES, Chains, endpoints
from penstockd.upstream import Misconfigured

NEEDS_RESTART = (
    "server.listen",
    "server.health_listen",
    "server.tls",
    "server.reflection",
    "server.max_message_bytes",
    "server.max_concurrent_streams",
    "server.drain_delay",
    "server.drain_timeout",
    "admin",
    "state_dir",
    "database_url",
    "redis_url",
)
"""The settings that a reload leaves as they are: listeners and stores."""

LAST_CHANCE = 1.0
"""Seconds that the pool waits, at the daemon's end, for calls that were cut and have not ended yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What one configuration amounts to; replaced as a whole when the settings change."""

    settings: Settings
    pool: Pool
    agents: Directory
    endpoints: list[Endpoint[Any]]


class App:
    """Builds runtimes, and puts the latest one into service."""

    def __init__(self, *, clock: Clock, log: Log, exporters: Exporters) -> None:
        """Serve nothing yet."""
        self.adapter = Adapter(clock=clock, log=log)
        self.health = Health(SERVICES)
        self._clock = clock
        self._log = log
        self._exporters = exporters
        self._in_flight = Permits(limit=1)
        self._runtime: Runtime | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def build(self, settings: Settings) -> Runtime:
        """Return what `settings` amount to; raises ConfigErrors for providers and agents that cannot be made."""
        before = self._runtime
        builder = PoolBuilder(settings, clock=self._clock)
        pool = builder.build() if before is None else builder.build(before=before.settings, kept=before.pool)
        agents = AgentBuilder(settings, pool, ask=self._ask(settings), log=self._log).build()
        chains = self._chains(settings)
        return Runtime(
            settings=settings,
            pool=pool,
            agents=agents,
            endpoints=endpoints(agents=agents, pool=pool, changed=self._changed, chains=chains, clock=self._clock),
        )

    def use(self, runtime: Runtime) -> None:
        """Serve by `runtime` from now on; calls in flight end by the one they came by."""
        before, self._runtime = self._runtime, runtime
        self.health.set_models({name: _is_serving(model) for name, model in runtime.pool.models.items()})
        self.adapter.serve(runtime.endpoints)
        if before is not None:
            self._leave(before.pool.close(but=runtime.pool))

    def reload(self, load: Callable[[], Settings]) -> None:
        """Load and use new settings, or keep those in use and say what is wrong with the new ones."""
        try:
            runtime = self.build(load())
        except ConfigErrors as errors:
            for error in errors.errors:
                self._log.error("the new configuration is not used", mistake=str(error))
            return
        before = self._runtime
        for name in NEEDS_RESTART:
            if before is not None and _setting(before.settings, name) != _setting(runtime.settings, name):
                self._log.warning("this setting takes a restart to change", setting=name)
        for model in runtime.pool.models.values():
            if model.breaker.cause == Misconfigured.reason:
                self._changed(model, model.breaker.enable())
        self.use(runtime)
        self._log.info("the configuration was reloaded", models=len(runtime.pool.models))

    async def close(self) -> None:
        """Close every connection to the models, at the latest when calls that do not end had their last chance."""
        if self._runtime is not None:
            self._leave(self._runtime.pool.close())
        if self._leaving:
            _, stuck = await asyncio.wait(self._leaving, timeout=LAST_CHANCE)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    def _leave(self, closing: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(closing)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _chains(self, settings: Settings) -> Chains:
        """The interceptors around a call, outermost first."""
        server = settings.server
        telemetry = Telemetry(
            clock=self._clock, log=self._log, meter=self._exporters.meter, tracer=self._exporters.tracer
        )
        deadline = Deadline(
            clock=self._clock,
            default=server.default_timeout,
            longest_unary=server.max_call.unary,
            longest_stream=server.max_call.stream,
        )
        auth = Auth(everyone_is("default"))
        self._in_flight.limit = server.max_in_flight
        shed = Shed(self._in_flight, random=random.random)

        def around_a_generating_call(handler: Handler[Request]) -> Handler[Request]:
            return chain([telemetry, deadline, auth, shed], handler)

        def around_any_other_call(handler: Handler[Q]) -> Handler[Q]:
            return chain([telemetry, deadline, auth], handler)

        def around_a_refusal(handler: Handler[Q]) -> Handler[Q]:
            return chain([telemetry], handler)

        return Chains(generate=around_a_generating_call, query=around_any_other_call, refuse=around_a_refusal)

    def _ask(self, settings: Settings) -> Handler[Prompt]:
        """The interceptors around each model call, outermost first, and the model."""
        rules = settings.retry
        backoff = Backoff(rules.base_delay, rules.max_delay, random=random.random)
        retry = Retry(clock=self._clock, backoff=backoff, max_attempts=rules.max_attempts)
        meter = Meter()
        circuit_breaker = CircuitBreaker(clock=self._clock, changed=self._changed)
        return chain([retry, meter, circuit_breaker], _answer)

    def _changed(self, model: Model, transition: Transition | None) -> None:
        """Show a change of a model's circuit to whoever watches."""
        if transition is None:
            return
        if self._runtime is not None and self._runtime.pool.models.get(model.name) is model:
            self.health.set_model(model.name, is_serving=_is_serving(model))
        tell = self._log.error if transition.cause == Misconfigured.reason else self._log.warning
        tell("circuit changed", model=model.name, state=transition.new.value, cause=transition.cause)


def check(settings: Settings) -> None:
    """Build what `settings` describe and throw it away; raises ConfigErrors for what cannot be made."""
    App(clock=SystemClock(), log=Log("penstockd"), exporters=exporters({}, version="")).build(settings)


def _is_serving(model: Model) -> bool:
    return model.breaker.state is State.CLOSED and model.breaker.is_enabled


async def _answer(call: Call[Prompt]) -> None:
    await chosen(call.request).answer(call)


def _setting(settings: Settings, path: str) -> object:
    value: object = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value
