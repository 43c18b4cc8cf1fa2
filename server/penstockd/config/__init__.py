"""The configuration: everything the daemon is told, and the only reader of the environment."""

from penstockd.config.address import TcpAddress
from penstockd.config.agent_settings import AgentSettings, ParameterSettings
from penstockd.config.cautions import cautions
from penstockd.config.describe import describe
from penstockd.config.difference import differences
from penstockd.config.errors import ConfigError, ConfigErrors
from penstockd.config.grammar import RateSetting
from penstockd.config.load import config_file, load
from penstockd.config.model_settings import ModelSettings, PriceSettings
from penstockd.config.new_key import new_key
from penstockd.config.route_settings import RouteSettings
from penstockd.config.secret import Secret
from penstockd.config.secret_values import secret_values
from penstockd.config.settings import Settings
from penstockd.config.tenant_settings import BudgetSettings, KeySettings, LimitSettings, TenantSettings

__all__ = [
    "AgentSettings",
    "BudgetSettings",
    "ConfigError",
    "ConfigErrors",
    "KeySettings",
    "LimitSettings",
    "ModelSettings",
    "ParameterSettings",
    "PriceSettings",
    "RateSetting",
    "RouteSettings",
    "Secret",
    "Settings",
    "TcpAddress",
    "TenantSettings",
    "cautions",
    "config_file",
    "describe",
    "differences",
    "load",
    "new_key",
    "secret_values",
]
