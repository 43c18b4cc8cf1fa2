"""The composition root: builds everything from the settings, and anew when they change."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from secrets import token_bytes
from typing import Any

from penstockd.agent import Directory
from penstockd.agent_builder import AgentBuilder
from penstockd.answer_keys import AnswerKeys
from penstockd.answers import Lookups
from penstockd.budget_gauge import BudgetGauge
from penstockd.budgets import budget_states, rebuild
from penstockd.cache_gauge import show_cache
from penstockd.cache_service import CacheService
from penstockd.call import Call, Handler, Q, chain
from penstockd.clock import Clock, SystemClock
from penstockd.config import ConfigErrors, Settings
from penstockd.endpoint import Endpoint
from penstockd.exporters import Exporters, exporters
from penstockd.grpc_adapter import Adapter
from penstockd.health import Health
from penstockd.identity_builder import identify
from penstockd.interceptors.auth import Auth
from penstockd.interceptors.budget_alerts import BudgetAlerts
from penstockd.interceptors.cache import Cache
from penstockd.interceptors.circuit_breaker import CircuitBreaker
from penstockd.interceptors.deadline import Deadline
from penstockd.interceptors.denials import Denials
from penstockd.interceptors.flights import Flights
from penstockd.interceptors.idempotency import LINGER, Idempotency
from penstockd.interceptors.meter import Meter
from penstockd.interceptors.rate_limit import RateLimit
from penstockd.interceptors.retry import Retry
from penstockd.interceptors.settlement import Settlements
from penstockd.interceptors.shed import Shed
from penstockd.interceptors.telemetry import Telemetry
from penstockd.ledger import Ledger, NoLedger
from penstockd.log import Log
from penstockd.model import Model, Prompt, chosen
from penstockd.models.pool import Pool
from penstockd.pool_builder import PoolBuilder
from penstockd.request import Request
from penstockd.resilience.backoff import Backoff
from penstockd.resilience.circuit import State, Transition
from penstockd.resilience.permits import Permits
from penstockd.rule_builder import rulebook
from penstockd.rules import Rulebook
from penstockd.service import SERVICES, Chains, endpoints
from penstockd.stores.answers.memory_answers import MemoryAnswers
from penstockd.stores.answers.seal import Seal
from penstockd.stores.memory_idempotency import MemoryIdempotency
from penstockd.stores.memory_limits import MemoryLimits
from penstockd.tls_builder import certificate
from penstockd.upstream import Misconfigured
from penstockd.usage_service import UsageService

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
    "ledger",
    "database_url",
    "redis_url",
)
"""The settings that a reload leaves as they are: listeners and stores."""

LAST_CHANCE = 1.0
"""Seconds that the pool waits, at the daemon's end, for calls that were cut and have not ended yet."""


UPKEEP_EVERY = 1.0
"""Seconds between two looks at what has gone idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What one configuration amounts to; replaced as a whole when the settings change."""

    settings: Settings
    rulebook: Rulebook
    pool: Pool
    agents: Directory
    endpoints: list[Endpoint[Any]]


class App:
    """Builds runtimes, and puts the latest one into service."""

    def __init__(
        self, *, ledger: Ledger, clock: Clock, log: Log, exporters: Exporters, reads_certificates: bool = False
    ) -> None:
        """Serve nothing yet; `reads_certificates` where callers must have one."""
        self.adapter = Adapter(clock=clock, log=log, reads_certificates=reads_certificates)
        self.health = Health(SERVICES)
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._exporters = exporters
        self._in_flight = Permits(limit=1)
        self._limits = MemoryLimits(clock, random=random.random)
        self._settlements = Settlements(log)
        self._denials = Denials(exporters.meter)
        self._alerts = BudgetAlerts(log=log, meter=exporters.meter)
        self._budget_gauge = BudgetGauge(self._limits, clock=clock, meter=exporters.meter)
        secret = token_bytes(32)
        self._keys = AnswerKeys(secret)
        self._answers = MemoryAnswers(Seal(secret), max_entries=0, max_bytes=0, clock=clock, random=random.random)
        self._lookups = Lookups()
        self._flights = Flights()
        self._memory = MemoryIdempotency(clock)
        self._keyed_flights = Flights(linger=LINGER)
        show_cache(exporters.meter, answers=self._answers, lookups=self._lookups, flights=self._flights)
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
        usage = UsageService(self._ledger, partial(budget_states, rules, self._limits), self._clock)
        return Runtime(
            settings=settings,
            rulebook=rules,
            pool=pool,
            agents=agents,
            endpoints=endpoints(
                agents=agents,
                pool=pool,
                usage=usage,
                cache=CacheService(self._answers),
                changed=self._changed,
                chains=chains,
                clock=self._clock,
            ),
        )

    def use(self, runtime: Runtime) -> None:
        """Serve by `runtime` from now on; calls in flight end by the one they came by."""
        before, self._runtime = self._runtime, runtime
        cache = runtime.settings.cache
        self._answers.cache.limit(max_entries=cache.max_entries if cache.enabled else 0, max_bytes=cache.max_bytes)
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
        for name in NEEDS_RESTART:
            if before is not None and _setting(before.settings, name) != _setting(runtime.settings, name):
                self._log.warning("this setting takes a restart to change", setting=name)
        for model in runtime.pool.models.values():
            if model.breaker.cause == Misconfigured.reason:
                self._changed(model, model.breaker.enable())
        self.use(runtime)
        self._log.info("the configuration was reloaded", models=len(runtime.pool.models))

    async def remember_spending(self) -> None:
        """Start every budget at what the ledger says was spent; for before the first call. Raises LedgerUnavailable."""
        if self._runtime is not None:
            await rebuild(self._runtime.rulebook, self._limits, self._ledger.spent, self._clock.wall())

    async def keep_up(self) -> None:
        """For ever, now and then, forget limits that have gone idle and look at the budgets."""
        while True:
            self._limits.sweep()
            self._answers.cache.sweep()
            if self._runtime is not None:
                await self._budget_gauge.refresh(self._runtime.rulebook)
            await self._clock.sleep(UPKEEP_EVERY)

    def show_ledger(self, fault: str) -> None:
        """Be ready only while paid calls can be accounted for."""
        if fault:
            self.health.add_reason("ledger")
        else:
            self.health.remove_reason("ledger")

    async def settle(self) -> None:
        """Return when every call is settled."""
        await self._settlements.idle()

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
        server = settings.server
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
            self._limits,
            settlements=self._settlements,
            denials=self._denials,
            longest_call=max(server.max_call.unary, server.max_call.stream),
        )
        self._in_flight.limit = server.max_in_flight
        shed = Shed(self._in_flight, random=random.random)
        idempotency = Idempotency(
            memory=self._memory, flights=self._keyed_flights, fingerprint_of=self._keys.fingerprint_of
        )
        cache = Cache(
            agents=agents,
            answers=self._answers,
            lookups=self._lookups,
            flights=self._flights,
            key_of=self._keys.key_of,
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
        retry_rules = settings.retry
        backoff = Backoff(retry_rules.base_delay, retry_rules.max_delay, random=random.random)
        retry = Retry(clock=self._clock, backoff=backoff, max_attempts=retry_rules.max_attempts)
        meter = Meter(
            rulebook=rules,
            store=self._limits,
            ledger=self._ledger,
            settlements=self._settlements,
            denials=self._denials,
            alerts=self._alerts,
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
    return model.breaker.state is State.CLOSED and model.breaker.is_enabled


async def _answer(call: Call[Prompt]) -> None:
    await chosen(call.request).answer(call)


def _setting(settings: Settings, path: str) -> object:
    value: object = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value
