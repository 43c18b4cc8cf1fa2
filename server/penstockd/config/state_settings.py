"""What is kept: answers, and the ledger of what they cost."""

from typing import Literal

from penstockd.config.quantities import Count, Size, Time
from penstockd.config.section import Section


class CacheSettings(Section):
    """Whether, how long and how many answers are kept."""

    enabled: bool = True
    ttl: Time = 300.0
    max_entries: Count = 10_000
    max_bytes: Size = 256 * 2**20


class LedgerSettings(Section):
    """What the ledger survives, and for how long it keeps its rows."""

    durability: Literal["process", "power"] = "process"
    retention: Time = 400 * 86400.0
