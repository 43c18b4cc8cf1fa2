"""What one configuration amounts to: its models, its agents, its rules, its endpoints, and what is under way."""

from dataclasses import dataclass
from typing import Any

from penstockd.agent import Directory
from penstockd.config import Settings
from penstockd.endpoint import Endpoint
from penstockd.models.pool import Pool
from penstockd.rules import Rulebook
from penstockd.under_way import UnderWay


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Replaced as a whole when the settings change."""

    settings: Settings
    rulebook: Rulebook
    pool: Pool
    agents: Directory
    endpoints: list[Endpoint[Any]]
    under_way: UnderWay
