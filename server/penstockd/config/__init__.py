"""The configuration: everything the daemon is told, and the only reader of the environment."""

from penstockd.config.address import Address, TcpAddress, UnixAddress
from penstockd.config.agent_settings import AgentCacheSettings, AgentSettings, ParameterSettings
from penstockd.config.describe import describe
from penstockd.config.difference import differences
from penstockd.config.errors import ConfigError, ConfigErrors
from penstockd.config.grammar import Rate
from penstockd.config.load import config_file, load
from penstockd.config.model_settings import ModelLimitSettings, ModelSettings, PriceSettings, TimeoutSettings
from penstockd.config.new_key import new_key
from penstockd.config.resilience_settings import BreakerSettings, RetrySettings
from penstockd.config.route_settings import RouteSettings
from penstockd.config.secret import Secret, SecretUrl
from penstockd.config.secret_values import secret_values
from penstockd.config.server_settings import (
    AdminSettings,
    LogSettings,
    MaxCallSettings,
    ServerSettings,
    TlsSettings,
)
from penstockd.config.settings import Settings
from penstockd.config.state_settings import CacheSettings, LedgerSettings
from penstockd.config.tenant_settings import (
    BudgetSettings,
    KeySettings,
    LimitSettings,
    TenantSettings,
)

__all__ = [
    "Address",
    "AdminSettings",
    "AgentCacheSettings",
    "AgentSettings",
    "BreakerSettings",
    "BudgetSettings",
    "CacheSettings",
    "ConfigError",
    "ConfigErrors",
    "KeySettings",
    "LedgerSettings",
    "LimitSettings",
    "LogSettings",
    "MaxCallSettings",
    "ModelLimitSettings",
    "ModelSettings",
    "ParameterSettings",
    "PriceSettings",
    "Rate",
    "RetrySettings",
    "RouteSettings",
    "Secret",
    "SecretUrl",
    "ServerSettings",
    "Settings",
    "TcpAddress",
    "TenantSettings",
    "TimeoutSettings",
    "TlsSettings",
    "UnixAddress",
    "config_file",
    "describe",
    "differences",
    "load",
    "new_key",
    "secret_values",
]
