"""The one shape every call has on its way through, and the one way policies wrap it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from google.protobuf.message import Message
from msgspec import Struct
from msgspec.structs import replace

from penstockd.errors import Unauthenticated
from penstockd.metadata import NONE, Metadata
from penstockd.outcome import FinishReason, Outcome
from penstockd.principal import Principal
from penstockd.resilience.overtime import Overtime
from penstockd.usage import Usage

Q = TypeVar("Q")
R = TypeVar("R")
Q_co = TypeVar("Q_co", covariant=True)


class Delta(Struct, frozen=True):
    """More text of the answer; never empty."""

    text: str


class Completed(Struct, frozen=True, kw_only=True):
    """The answer is whole; always the last reply. `usage` is that of the model call that sent it.

    `is_counted` is False where `usage` may be of a part of the answer only, or of none.
    `may_be_kept` is False where it was made of one that is not whole: then the cache does not keep it.
    """

    finish_reason: FinishReason
    usage: Usage = Usage()
    is_counted: bool = True
    may_be_kept: bool = True


Reply: TypeAlias = Delta | Completed | Message
"""A generated answer is `Delta* Completed`; every other method sends its one response message."""

Send: TypeAlias = Callable[[Reply], Awaitable[None]]


class Method(Struct, frozen=True):
    """One RPC of the contract, such as "/penstock.v1.AgentService/Process"."""

    path: str
    streams: bool = False


PROCESS = Method("/penstock.v1.AgentService/Process")
PROCESS_STREAM = Method("/penstock.v1.AgentService/ProcessStream", streams=True)
GENERATING = (PROCESS, PROCESS_STREAM)
"""The methods that ask an agent: what "calls" are to people."""


class Call(Struct, Generic[Q_co], frozen=True, kw_only=True):
    """One call: what is asked, by when (monotonic seconds, inf = no limit), and where replies go.

    `sans` are the names in the caller's verified certificate; None where its port asks for none.
    An agent's model calls are calls too: the same value with a prompt as its request.
    """

    method: Method
    request: Q_co
    send: Send
    outcome: Outcome
    started_at: float
    expires_at: float
    metadata: Metadata = NONE
    peer: str = ""
    overtime: Overtime | None = None
    sans: tuple[str, ...] | None = None

    @property
    def ends_at(self) -> float:
        """The call's limit, overtime included, in monotonic seconds."""
        return self.expires_at if self.overtime is None else max(self.expires_at, self.overtime.until)

    @property
    def principal(self) -> Principal:
        """The caller; raises Unauthenticated where no auth came before, which no chain forgets."""
        if self.outcome.principal is None:
            raise Unauthenticated
        return self.outcome.principal

    @property
    def tenant(self) -> str:
        """The caller's tenant; empty before the caller is known."""
        return self.outcome.principal.tenant if self.outcome.principal else ""

    def asking(self, request: R) -> "Call[R]":
        """The same call with another request: a prompt that an agent puts to its models."""
        return replace(self, request=request)  # type: ignore[arg-type]  # its type is what changes


Handler: TypeAlias = Callable[[Call[Q]], Awaitable[None]]


class Interceptor(Protocol[Q]):
    """A policy around a handler: a guard raises before `proceed`, an enricher proceeds with `replace(call, …)`.

    One that has nothing to do once the call has ended returns what `proceed` returned: a coroutine less for each call.
    """

    def __call__(self, call: Call[Q], proceed: Handler[Q]) -> Awaitable[None]:
        """Handle `call`, usually by calling `proceed` once; what it returns is awaited at once, and may raise too."""


def chain(interceptors: Sequence[Interceptor[Q]], handler: Handler[Q]) -> Handler[Q]:
    """Wrap `handler` in `interceptors`, the first outermost; done once per method, not per call."""
    for interceptor in reversed(interceptors):
        handler = _around(interceptor, handler)
    return handler


def _around(interceptor: Interceptor[Q], proceed: Handler[Q]) -> Handler[Q]:
    """A closure costs half of what a partial does, and every layer of every call has one."""
    intercept = interceptor.__call__

    def handle(call: Call[Q]) -> Awaitable[None]:
        return intercept(call, proceed)

    return handle
