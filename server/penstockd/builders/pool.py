"""Builds the pool that the settings describe."""

import random
from dataclasses import replace

from penstockd.call import Handler
from penstockd.clock import Clock
from penstockd.config import ConfigError, ConfigErrors, ModelSettings, PriceSettings, RateSetting, Secret, Settings
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
from penstockd.runtime import Runtime


class PoolBuilder:
    """Builds the pool of one configuration, taking over every model whose definition is the same as before."""

    def __init__(self, settings: Settings, *, clock: Clock, log: Log) -> None:
        """Build what `settings` describe; `made` are the providers that this took, whatever came of it."""
        self.made: list[object] = []
        self._settings = settings
        self._clock = clock
        self._log = log

    def build(self, before: Runtime | None = None) -> Pool:
        """Return the pool that follows the one of `before`; raises ConfigErrors for providers that cannot be made."""
        models: dict[str, Model] = {}
        providers: dict[str, object] = {}
        mistakes: list[ConfigError] = []
        for name, settings in self._settings.models.items():
            try:
                models[name], providers[name] = self._entry(name, settings, before)
            except ValueError as error:
                mistakes.append(ConfigError(f"models.{name}.provider", str(error)))
            except OSError as error:
                mistakes.append(ConfigError(f"models.{name}.ca", f"must be a file of PEM certificates: {error}"))
        if mistakes:
            raise ConfigErrors(mistakes)
        return Pool(models, providers, clock=self._clock)

    def _entry(self, name: str, settings: ModelSettings, before: Runtime | None) -> tuple[Model, object]:
        """The model and its provider: both as before, or new, or the provider alone where its CA file has changed."""
        if before is not None and self._is_same(name, before.settings):
            model, kept = before.pool.models[name], before.pool.providers[name]
            if _is_current(kept):
                return model, kept
            provider = self._provider(name, settings)
            return replace(model, answer=self._timed(settings, provider)), provider
        provider = self._provider(name, settings)
        model = self._model(name, settings, provider)
        older = before.pool.models.get(name) if before is not None else None
        if older is not None and not older.breaker.is_enabled:
            model.breaker.disable()  # what an operator said of it is not the configuration's to take back
        return model, provider

    def _is_same(self, name: str, before: Settings) -> bool:
        now = self._settings
        rules = (before.circuit_breaker, before.retry.budget)
        return before.models.get(name) == now.models[name] and rules == (now.circuit_breaker, now.retry.budget)

    def _provider(self, name: str, settings: ModelSettings) -> Handler[Prompt]:
        provider: Handler[Prompt]
        match settings.provider:
            case "echo":
                provider = Echo()
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
                provider = Foreign(provider_from(reference, name, dict(settings)), self._log.bound(model=name))
        self.made.append(provider)
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

    def _bucket(self, rate: RateSetting | None) -> TokenBucket | None:
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
