"""What one configuration amounts to: its models, its agents, its rules, and the endpoints that serve them."""

from dataclasses import dataclass
from typing import Any

from penstockd.agent import Directory
from penstockd.config import Settings
from penstockd.endpoint import Endpoint
from penstockd.models.pool import Pool
from penstockd.rules import Rulebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Replaced as a whole when the settings change."""

    settings: Settings
    rulebook: Rulebook
    pool: Pool
    agents: Directory
    endpoints: list[Endpoint[Any]]
