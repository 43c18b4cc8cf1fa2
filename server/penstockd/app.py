"""The composition root: builds everything from the settings, and anew when they change."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import partial

from penstockd.agent import Directory
from penstockd.budgets import budget_states
from penstockd.builders.agents import AgentBuilder
from penstockd.builders.certificate import certificate
from penstockd.builders.identities import identify
from penstockd.builders.pool import PoolBuilder
from penstockd.builders.rules import rulebook
from penstockd.cache_service import CacheService
from penstockd.call import Call, Handler, Q, chain
from penstockd.clock import Clock, SystemClock
from penstockd.config import ConfigErrors, Settings
from penstockd.exporters import Exporters, exporters
from penstockd.grpc_adapter import Adapter
from penstockd.health import Health
from penstockd.interceptors.auth import Auth
from penstockd.interceptors.cache import Cache
from penstockd.interceptors.circuit_breaker import CircuitBreaker
from penstockd.interceptors.deadline import Deadline
from penstockd.interceptors.idempotency import Idempotency
from penstockd.interceptors.meter import Meter
from penstockd.interceptors.rate_limit import RateLimit
from penstockd.interceptors.retry import Retry
from penstockd.interceptors.shed import Shed
from penstockd.interceptors.telemetry import Telemetry
from penstockd.ledger import Ledger, NoLedger
from penstockd.log import Log
from penstockd.model import Model, Prompt, chosen
from penstockd.request import Request
from penstockd.resilience.backoff import Backoff
from penstockd.resilience.circuit import State as Circuit
from penstockd.resilience.circuit import Transition
from penstockd.restart import needing_restart
from penstockd.rules import Rulebook
from penstockd.runtime import Runtime
from penstockd.service import SERVICES, Chains, endpoints
from penstockd.state import LAST_CHANCE, State
from penstockd.upstream import Misconfigured
from penstockd.usage_service import UsageService

UPKEEP_EVERY = 1.0
"""Seconds between two looks at what has gone idle."""


class App:
    """Builds runtimes, and puts the latest one into service."""

    def __init__(
        self, *, ledger: Ledger, clock: Clock, log: Log, exporters: Exporters, reads_certificates: bool = False
    ) -> None:
        """Serve nothing yet; `reads_certificates` where callers must have one."""
        self.adapter = Adapter(clock=clock, log=log, reads_certificates=reads_certificates)
        self.health = Health(SERVICES)
        self._state = State(ledger=ledger, clock=clock, log=log, exporters=exporters)
        self._clock = clock
        self._log = log
        self._exporters = exporters
        self._runtime: Runtime | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def build(self, settings: Settings) -> Runtime:
        """Return what `settings` amount to; raises ConfigErrors for providers and agents that cannot be made."""
        before = self._runtime
        builder = PoolBuilder(settings, clock=self._clock)
        pool = builder.build() if before is None else builder.build(before=before.settings, kept=before.pool)
        rules = rulebook(settings)
        agents = AgentBuilder(settings, pool, ask=self._ask(settings, rules), log=self._log).build()
        chains = self._chains(settings, rules, agents)
        usage = UsageService(self._state.ledger, partial(budget_states, rules, self._state.limits), self._clock)
        return Runtime(
            settings=settings,
            rulebook=rules,
            pool=pool,
            agents=agents,
            endpoints=endpoints(
                agents=agents,
                pool=pool,
                usage=usage,
                cache=CacheService(self._state.answers),
                changed=self._changed,
                chains=chains,
                clock=self._clock,
            ),
        )

    def use(self, runtime: Runtime) -> None:
        """Serve by `runtime` from now on; calls in flight end by the one they came by."""
        before, self._runtime = self._runtime, runtime
        self._state.bound(runtime.settings)
        self.health.set_models({name: _is_serving(model) for name, model in runtime.pool.models.items()})
        has_older_calls = self.adapter.serve(runtime.endpoints)
        if before is not None:
            self._leave(before.pool.close(but=runtime.pool, is_used=has_older_calls))

    def reload(self, load: Callable[[], Settings]) -> None:
        """Load and use new settings, or keep those in use and say what is wrong with the new ones."""
        try:
            runtime = self.build(load())
        except ConfigErrors as errors:
            for error in errors.errors:
                self._log.error("the new configuration is not used", mistake=str(error))
            return
        before = self._runtime
        for name in needing_restart(before.settings, runtime.settings) if before else ():
            self._log.warning("this setting takes a restart to change", setting=name)
        for model in runtime.pool.models.values():
            if model.breaker.cause == Misconfigured.reason:
                self._changed(model, model.breaker.enable())
        self.use(runtime)
        self._log.info("the configuration was reloaded", models=len(runtime.pool.models))

    async def remember_spending(self) -> None:
        """Start every budget at what the ledger says was spent; for before the first call. Raises CannotOpenLedger."""
        if self._runtime is not None:
            await self._state.remember_spending(self._runtime.rulebook)

    async def keep_up(self) -> None:
        """For ever, now and then, look after the state."""
        while True:
            if self._runtime is not None:
                await self._state.keep_up(self._runtime.rulebook)
            await self._clock.sleep(UPKEEP_EVERY)

    def show_ledger(self, fault: str) -> None:
        """Be ready only while paid calls can be accounted for."""
        if fault:
            self.health.add_reason("ledger")
        else:
            self.health.remove_reason("ledger")

    async def settle(self) -> None:
        """Return when every call is settled."""
        await self._state.settle()

    async def close(self) -> None:
        """Close every connection to the models, at the latest after a last chance for their calls to end."""
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

    def _chains(self, settings: Settings, rules: Rulebook, agents: Directory) -> Chains:
        """The interceptors around a call, outermost first."""
        server, state = settings.server, self._state
        telemetry = Telemetry(
            clock=self._clock,
            log=self._log,
            instruments=self._exporters.instruments,
            tracer=self._exporters.tracer,
        )
        deadline = Deadline(
            clock=self._clock,
            default=server.default_timeout,
            longest_unary=server.max_call.unary,
            longest_stream=server.max_call.stream,
        )
        auth = Auth(identify(settings), clock=self._clock, meter=self._exporters.meter)
        rate_limit = RateLimit(
            rules,
            state.limits,
            settlements=state.settlements,
            denials=state.denials,
            longest_call=max(server.max_call.unary, server.max_call.stream),
        )
        shed = Shed(state.in_flight, random=random.random)
        idempotency = Idempotency(
            memory=state.memory, flights=state.keyed_flights, fingerprint_of=state.keys.fingerprint_of
        )
        cache = Cache(
            agents=agents,
            answers=state.answers,
            lookups=state.lookups,
            flights=state.flights,
            key_of=state.keys.key_of,
        )

        def around_a_generating_call(handler: Handler[Request]) -> Handler[Request]:
            return chain([telemetry, deadline, auth, rate_limit, shed, idempotency, cache], handler)

        def around_any_other_call(handler: Handler[Q]) -> Handler[Q]:
            return chain([telemetry, deadline, auth], handler)

        def around_a_refusal(handler: Handler[Q]) -> Handler[Q]:
            return chain([telemetry, auth], handler)

        return Chains(generate=around_a_generating_call, query=around_any_other_call, refuse=around_a_refusal)

    def _ask(self, settings: Settings, rules: Rulebook) -> Handler[Prompt]:
        """The interceptors around each model call, outermost first, and the model."""
        retry_rules, state = settings.retry, self._state
        backoff = Backoff(retry_rules.base_delay, retry_rules.max_delay, random=random.random)
        retry = Retry(clock=self._clock, backoff=backoff, max_attempts=retry_rules.max_attempts)
        meter = Meter(
            rulebook=rules,
            store=state.limits,
            ledger=state.ledger,
            settlements=state.settlements,
            denials=state.denials,
            alerts=state.alerts,
            clock=self._clock,
            log=self._log,
        )
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
    log = Log("penstockd")
    App(ledger=NoLedger(), clock=SystemClock(), log=log, exporters=exporters({}, version="")).build(settings)
    certificate(settings, log)


def _is_serving(model: Model) -> bool:
    return model.breaker.state is Circuit.CLOSED and model.breaker.is_enabled


async def _answer(call: Call[Prompt]) -> None:
    await chosen(call.request).answer(call)
