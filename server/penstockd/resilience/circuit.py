"""What a circuit breaker is told and tells."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a circuit lets through: everything, nothing, or one probe at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a circuit opens and for how long; times in seconds, `jitter` as a part of the open time either way."""

    window: float = 30.0
    min_calls: int = 10
    failure_rate: float = 0.5
    consecutive_failures: int = 5
    open_for: float = 5.0
    max_open_for: float = 120.0
    probe_timeout: float = 30.0
    jitter: float = 0.2


@dataclass(frozen=True, slots=True)
class Transition:
    """A change worth showing, and why; both states are the same where only `is_enabled` changed."""

    old: State
    new: State
    cause: str


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One call's admission, to be handed back with its result. A probe's tells if it half-opened the circuit."""

    generation: int
    is_probe: bool = False
    transition: Transition | None = None
