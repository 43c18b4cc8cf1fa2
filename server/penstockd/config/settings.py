"""The whole configuration, checked and complete."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator

from penstockd.config.agent_settings import AgentSettings
from penstockd.config.context import Context
from penstockd.config.errors import Mistake
from penstockd.config.exposure import exposed
from penstockd.config.model_settings import ModelSettings
from penstockd.config.names import Name, existing
from penstockd.config.places import Directory
from penstockd.config.resilience_settings import BreakerSettings, RetrySettings
from penstockd.config.route_settings import RouteSettings
from penstockd.config.secret import DatabaseUrl, RedisUrl, Secret, SecretText, SecretUrl
from penstockd.config.section import Section
from penstockd.config.server_settings import AdminSettings, LogSettings, ServerSettings, unless_development
from penstockd.config.state_settings import CacheSettings, LedgerSettings
from penstockd.config.tenant_settings import NOBODY_KNOWN, TenantSettings, refuse_samples, refuse_twins


def _default_agent(name: object, info: ValidationInfo[Context]) -> object:
    agents = info.context.agents
    match name:
        case None if "default" in agents or not agents:  # agents that are none are a mistake of their own
            return "default"
        case None if len(agents) == 1:
            return next(iter(agents))
        case None:
            raise Mistake('required, because there are several agents and none is called "default"')
        case str():
            return existing("agent", name, agents)
        case _:
            return name


class Settings(Section):
    """Everything the daemon is told. Durations are seconds, sizes bytes, money is nano-USD."""

    environment: Literal["development", "staging", "production"] = "development"
    default_agent: Annotated[str, BeforeValidator(_default_agent)] = Field(default=None, validate_default=True)
    allow_bare_models: Annotated[bool, unless_development(development=True, otherwise=False)] = Field(
        default=None, validate_default=True
    )
    models: dict[Name, ModelSettings]
    routes: dict[Name, RouteSettings] = Field(default_factory=dict)
    agents: dict[Name, AgentSettings]
    tenants: dict[Name, TenantSettings] = Field(default_factory=dict, validate_default=True)
    key_pepper: SecretText | None = Field(default=None, validate_default=True)
    retry: RetrySettings = RetrySettings()
    circuit_breaker: BreakerSettings = BreakerSettings()
    cache: CacheSettings = CacheSettings()
    ledger: LedgerSettings = LedgerSettings()
    log: LogSettings = LogSettings()
    server: ServerSettings
    admin: AdminSettings = AdminSettings()
    state_dir: Directory
    redis_url: RedisUrl | None = None
    database_url: DatabaseUrl | None = None

    _notes: tuple[str, ...] = PrivateAttr(default=())

    def model_post_init(self, context: Context, /) -> None:
        """Keep what was noticed on the way here."""
        self._notes = (*dict.fromkeys(context.notes), *exposed(self, context))

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should be told of where the settings come from; `cautions` adds what they say."""
        return self._notes

    @property
    def admits_strangers(self) -> bool:
        """Whether callers without credentials are served, as the tenant NOBODY_KNOWN."""
        return self.environment == "development" and (not self.tenants or NOBODY_KNOWN in self.tenants)

    @field_validator("models")
    @classmethod
    def _is_more_than_echo(
        cls, models: dict[str, ModelSettings], info: ValidationInfo[Context]
    ) -> dict[str, ModelSettings]:
        if info.context.environment == "production" and all(model.provider == "echo" for model in models.values()):
            raise Mistake("production needs a model other than echo: set LLM_API_KEY, or models in the file")
        return models

    @field_validator("tenants")
    @classmethod
    def _are_there(cls, tenants: dict[str, TenantSettings], info: ValidationInfo[Context]) -> dict[str, TenantSettings]:
        if info.context.is_guarded and not tenants:
            raise Mistake(f"required in {info.context.environment}")
        refuse_twins(tenants)
        return tenants

    @field_validator("key_pepper")
    @classmethod
    def _fits_the_keys(cls, pepper: Secret | None, info: ValidationInfo[Context]) -> Secret | None:
        # As they are written: a mistake in one of them hides no want of a pepper.
        if pepper is None and any(isinstance(its, dict) and its.get("keys") for its in info.context.tenants.values()):
            raise Mistake("required, because there are keys: set PENSTOCK_KEY_PEPPER")
        if pepper is not None and info.context.is_guarded:
            refuse_samples(info.data.get("tenants", {}), pepper.reveal())
        return pepper

    @field_validator("redis_url")
    @classmethod
    def _is_not_yet(cls, url: SecretUrl | None) -> SecretUrl | None:
        if url is not None:
            raise Mistake("not yet supported in this version")
        return url
