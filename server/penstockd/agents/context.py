"""What a Python agent is given: the request, models to ask, and how much time is left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from penstockd.agents.models import Models
from penstockd.logs.log import Log
from penstockd.request import Parameters, Request, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRequest:
    """What the caller asks of the agent."""

    input: str
    history: Sequence[Turn]
    user_id: str
    labels: Mapping[str, str]
    parameters: Parameters

    @classmethod
    def of(cls, request: Request) -> "AgentRequest":
        """The agent's view of `request`: what it writes to the labels reaches neither the ledger nor a key."""
        return cls(
            input=request.input,
            history=request.history,
            user_id=request.user_id,
            labels=dict(request.labels),
            parameters=request.parameters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentContext:
    """Where the agent runs, what it may ask, and by when it is to answer."""

    request_id: str
    tenant: str
    models: Models
    log: Log
    _ends_at: Callable[[], float] = field(repr=False)

    @property
    def deadline(self) -> float:
        """In monotonic seconds; later as soon as a caller who has more time joins."""
        return self._ends_at()
