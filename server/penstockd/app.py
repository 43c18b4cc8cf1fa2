"""The composition root: builds everything from the settings, and anew when they change."""

import random
from collections.abc import Awaitable
from functools import partial

from penstockd.agent import Directory
from penstockd.budgets import budget_states
from penstockd.builders.agents import AgentBuilder, unloadable
from penstockd.builders.certificate import certificate
from penstockd.builders.identities import identify
from penstockd.builders.ledger import check_driver
from penstockd.builders.pool import PoolBuilder
from penstockd.builders.rules import rulebook
from penstockd.call import Call, Handler, Q, chain
from penstockd.circuit_watch import CircuitWatch
from penstockd.clock import Clock, SystemClock
from penstockd.config import ConfigError, ConfigErrors, Settings
from penstockd.exporters.exporters import Exporters, exporters_from
from penstockd.gauges.daemon_gauge import show_calls
from penstockd.gauges.gauges import Gauges
from penstockd.gauges.pool_gauge import show_pool
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
from penstockd.logs.log import Log
from penstockd.model import Prompt, chosen
from penstockd.request import Request
from penstockd.resilience.backoff import Backoff
from penstockd.rules import Rulebook
from penstockd.runtime import Runtime
from penstockd.service import SERVICES, Chains, endpoints
from penstockd.services.agents import AgentService
from penstockd.services.cache import CacheService
from penstockd.services.pool import PoolService
from penstockd.services.usage import UsageService
from penstockd.state import State
from penstockd.succession import Succession
from penstockd.under_way import UnderWay


class App:
    """Builds runtimes, and puts the latest one into service."""

    def __init__(
        self, *, ledger: Ledger, clock: Clock, log: Log, exporters: Exporters, reads_certificates: bool = False
    ) -> None:
        """Serve nothing yet; `reads_certificates` where callers must have one."""
        self.adapter = Adapter(clock=clock, log=log, reads_certificates=reads_certificates)
        self.health = Health(SERVICES)
        self.state = State(ledger=ledger, clock=clock, log=log, exporters=exporters)
        circuits = CircuitWatch(log=log, instruments=exporters.instruments, changes=self.state.changes)
        self.succession = Succession(adapter=self.adapter, health=self.health, circuits=circuits)
        self._clock = clock
        self._log = log
        self._exporters = exporters
        gauges = Gauges(exporters.meter)
        show_calls(gauges, self.adapter)
        show_pool(gauges, lambda: self.succession.models)

    def build(self, settings: Settings) -> Runtime:
        """Return what `settings` amount to; raises ConfigErrors for providers and agents that cannot be made."""
        builder = PoolBuilder(settings, clock=self._clock, log=self._log)
        try:
            return self._runtime(settings, builder)
        except BaseException:
            # Before there is a runtime in service, the process ends, and they with it.
            if self.succession.present is not None:
                self.succession.discard(builder.made)
            raise

    def use(self, runtime: Runtime) -> None:
        """Serve by `runtime` from now on; calls in flight end by the one they came by."""
        self.state.apply(runtime.settings, runtime.rulebook)
        self.succession.use(runtime)

    def _runtime(self, settings: Settings, builder: PoolBuilder) -> Runtime:
        state, before = self.state, self.succession.present
        try:
            pool = builder.build(before)
        except ConfigErrors as errors:
            raise ConfigErrors([*errors.errors, *unloadable(settings)]) from errors
        rules = rulebook(settings)
        agents = AgentBuilder(settings, pool, ask=self._around_a_model_call(settings, rules), log=self._log).build()
        under_way = UnderWay()
        chains = self._around_a_call(settings, rules, agents, under_way)
        return Runtime(
            settings=settings,
            rulebook=rules,
            pool=pool,
            agents=agents,
            endpoints=endpoints(
                agents=AgentService(agents),
                usage=UsageService(
                    state.ledger, partial(budget_states, rules, state.limits), self._clock, random=random.random
                ),
                pool=PoolService(pool, self.succession.changed),
                cache=CacheService(state.answers),
                chains=chains,
                clock=self._clock,
            ),
            under_way=under_way,
        )

    def _around_a_call(self, settings: Settings, rules: Rulebook, agents: Directory, under_way: UnderWay) -> Chains:
        """The interceptors around a call, outermost first."""
        server, state = settings.server, self.state
        telemetry = Telemetry(
            clock=self._clock,
            log=self._log,
            instruments=self._exporters.instruments,
            tracing=self._exporters.spans.tracing,
            tally=state.tally,
            agents=agents,
        )
        deadline = Deadline(
            clock=self._clock,
            default=server.default_timeout,
            longest_unary=server.max_call.unary,
            longest_stream=server.max_call.stream,
        )
        auth = Auth(identify(settings), clock=self._clock, instruments=self._exporters.instruments)
        rate_limit, shed = self._admission(settings, rules)
        idempotency, cache = self._repeats(agents)

        def around_a_generating_call(handler: Handler[Request]) -> Handler[Request]:
            counted = under_way.counting(handler)
            return chain([telemetry, deadline, auth, rate_limit, shed, idempotency, cache], counted)

        def around_any_other_call(handler: Handler[Q]) -> Handler[Q]:
            return chain([telemetry, deadline, auth], handler)

        def around_a_refusal(handler: Handler[Q]) -> Handler[Q]:
            return chain([telemetry, auth], handler)

        return Chains(generate=around_a_generating_call, query=around_any_other_call, refuse=around_a_refusal)

    def _admission(self, settings: Settings, rules: Rulebook) -> tuple[RateLimit, Shed]:
        """What lets a call in, or does not."""
        state, longest = self.state, settings.server.max_call
        rate_limit = RateLimit(rules, state.holds, longest_call=max(longest.unary, longest.stream))
        return rate_limit, Shed(state.in_flight, random=random.random, instruments=self._exporters.instruments)

    def _repeats(self, agents: Directory) -> tuple[Idempotency, Cache]:
        """What answers a call by the work of another."""
        state = self.state
        idempotency = Idempotency(
            answers=state.idempotency,
            flights=state.keyed_flights,
            replays=state.replays,
            fingerprint_of=state.answer_keys.fingerprint_of,
        )
        cache = Cache(
            agents=agents,
            answers=state.answers,
            lookups=state.lookups,
            flights=state.flights,
            key_of=state.answer_keys.key_of,
        )
        return idempotency, cache

    def _around_a_model_call(self, settings: Settings, rules: Rulebook) -> Handler[Prompt]:
        """The interceptors around each model call, outermost first, and the model."""
        retry_rules, state = settings.retry, self.state
        backoff = Backoff(retry_rules.base_delay, retry_rules.max_delay, random=random.random)
        retry = Retry(
            clock=self._clock,
            backoff=backoff,
            max_attempts=retry_rules.max_attempts,
            metrics=state.attempt_metrics,
            log=self._log,
        )
        meter = Meter(
            rulebook=rules,
            holds=state.holds,
            ledger=state.ledger,
            added_budgets=state.added_budgets,
            alerts=state.alerts,
            price_alarm=state.price_alarm,
            clock=self._clock,
            log=self._log,
        )
        circuit_breaker = CircuitBreaker(clock=self._clock, changed=self.succession.changed)
        return chain([retry, meter, circuit_breaker], _answer)


def check(settings: Settings) -> None:
    """Build what `settings` describe and throw it away; raises ConfigErrors for what cannot be made."""
    clock, log = SystemClock(), Log("penstockd")
    app = App(ledger=NoLedger(), clock=clock, log=log, exporters=exporters_from({}, version=""))
    mistakes: list[ConfigError] = []
    for make in (app.build, partial(certificate, clock=clock, log=log), check_driver):
        try:
            make(settings)
        except ConfigErrors as errors:
            mistakes += errors.errors
    if mistakes:
        raise ConfigErrors(mistakes)


def _answer(call: Call[Prompt]) -> Awaitable[None]:
    return chosen(call.request).answer(call)
