"""Builds the pool that the settings describe."""

import random
from dataclasses import replace

from penstockd.call import Handler
from penstockd.clock import Clock
from penstockd.config import ConfigError, ConfigErrors, ModelSettings, PriceSettings, Rate, Secret, Settings
from penstockd.logs.log import Log
from penstockd.model import Model, Price, Prompt, Timeouts
from penstockd.models.pool import Pool
from penstockd.models.prices import bundled
from penstockd.models.providers.anthropic import BASE_URL as ANTHROPIC_URL
from penstockd.models.providers.anthropic import anthropic
from penstockd.models.providers.chat import Chat
from penstockd.models.providers.echo import Echo
from penstockd.models.providers.factory import provider_from
from penstockd.models.providers.foreign import Foreign
from penstockd.models.providers.openai import BASE_URL as OPENAI_URL
from penstockd.models.providers.openai import openai
from penstockd.models.providers.wire import Target
from penstockd.models.timed import Timed
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.breaker import CircuitBreaker
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.resilience.latency import Latency
from penstockd.resilience.permits import Permits
from penstockd.resilience.retry_budget import RetryBudget
from penstockd.resilience.token_bucket import TokenBucket


class PoolBuilder:
    """Builds the pool of one configuration, taking over every model whose definition is the same as before."""

    def __init__(self, settings: Settings, *, clock: Clock, log: Log) -> None:
        """Build what `settings` describe; `made` are the providers that this took, whatever came of it."""
        self.made: list[object] = []
        self._settings = settings
        self._clock = clock
        self._log = log

    def build(self, *, before: Settings | None = None, kept: Pool | None = None) -> Pool:
        """Return the pool; raises ConfigErrors for providers that cannot be made."""
        providers: dict[str, object] = {}
        models: dict[str, Model] = {}
        mistakes: list[ConfigError] = []
        for name, settings in self._settings.models.items():
            same = kept if kept is not None and before is not None and self._is_same(name, before) else None
            if same is not None and _is_current(same.providers[name]):
                models[name], providers[name] = same.models[name], same.providers[name]
                continue
            try:
                provider = self._provider(name, settings)
            except ValueError as error:
                mistakes.append(ConfigError(f"models.{name}.provider", str(error)))
                continue
            except OSError as error:
                mistakes.append(ConfigError(f"models.{name}.ca", f"must be a file of PEM certificates: {error}"))
                continue
            self.made.append(provider)
            providers[name] = provider
            if same is not None:  # only whom it trusts has changed
                models[name] = replace(same.models[name], answer=self._timed(settings, provider))
                continue
            models[name] = self._model(name, settings, provider)
            if kept is not None and name in kept.models and not kept.models[name].breaker.is_enabled:
                models[name].breaker.disable()  # what an operator said of it is not the configuration's to take back
        if mistakes:
            raise ConfigErrors(mistakes)
        return Pool(models, providers, clock=self._clock)

    def _is_same(self, name: str, before: Settings) -> bool:
        now = self._settings
        rules = (before.circuit_breaker, before.retry.budget)
        return before.models.get(name) == now.models[name] and rules == (now.circuit_breaker, now.retry.budget)

    def _provider(self, name: str, settings: ModelSettings) -> Handler[Prompt]:
        match settings.provider:
            case "echo":
                return Echo()
            case "openai":
                provider = openai(
                    _target(settings, OPENAI_URL),
                    model=settings.model,
                    clock=self._clock,
                    max_tokens_field=settings.max_tokens_field,
                    body=settings.body,
                )
            case "anthropic":
                target = _target(settings, ANTHROPIC_URL)
                provider = anthropic(target, model=settings.model, clock=self._clock, body=settings.body)
            case reference:
                return Foreign(provider_from(reference, name, dict(settings)), self._log)
        provider.open()
        return provider

    def _model(self, name: str, settings: ModelSettings, provider: Handler[Prompt]) -> Model:
        return Model(
            name=name,
            provider=settings.provider,
            upstream_name=settings.model,
            answer=self._timed(settings, provider),
            price=_price(settings.price) or bundled(settings.model),
            breaker=CircuitBreaker(self._policy(settings), self._clock, random.random),
            permits=Permits(settings.max_in_flight),
            retries=RetryBudget(self._clock, ratio=self._settings.retry.budget),
            first_tokens=Latency(self._clock),
            whole_answers=Latency(self._clock),
            allowance=Allowance(
                requests=self._bucket(settings.limits.requests), tokens=self._bucket(settings.limits.tokens)
            ),
            grants={unit: str(rate) for unit, rate in dict(settings.limits).items() if rate},
        )

    def _timed(self, settings: ModelSettings, provider: Handler[Prompt]) -> Timed:
        return Timed(provider, timeouts=Timeouts(**dict(settings.timeouts)), clock=self._clock)

    def _policy(self, settings: ModelSettings) -> BreakerPolicy:
        rules = dict(self._settings.circuit_breaker)
        return BreakerPolicy(**rules, probe_timeout=settings.timeouts.total)

    def _bucket(self, rate: Rate | None) -> TokenBucket | None:
        return TokenBucket(rate.per_second, rate.count, self._clock) if rate else None


def _is_current(provider: object) -> bool:
    """Whether whom it trusts is what it was: a file of authorities may be another one under the same name."""
    return not isinstance(provider, Chat) or provider.is_current


def _target(settings: ModelSettings, base_url: str) -> Target:
    return Target(
        base_url=settings.base_url or base_url,
        api_key=_revealed(settings.api_key),
        headers={name: value.reveal() for name, value in settings.headers.items()},
        ca=str(settings.ca) if settings.ca else None,
        proxy=_revealed(settings.proxy) or None,
        connect_timeout=settings.timeouts.connect,
    )


def _revealed(secret: Secret | None) -> str:
    return secret.reveal() if secret else ""


def _price(settings: PriceSettings | None) -> Price | None:
    return Price(**dict(settings)) if settings else None
