"""One RPC as the adapter serves it: how its request is read, what handles it, and how replies become messages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from penstockd import messages
from penstockd.call import Completed, Delta, Handler, Method, Q, Reply
from penstockd.clock import Clock
from penstockd.errors import PenstockError
from penstockd.outcome import Outcome

LONGEST_DELTA = 1 << 18
"""Characters of one message: at four bytes each it stays far below the 4 MiB that clients take by themselves."""


class Edge(Protocol):
    """Turns the replies of one call into the bytes of its messages.

    It knows the call's outcome and not the call, which knows it: what holds on to each other is there until a
    collection, with gRPC's own part of the call.
    """

    def __call__(self, reply: Reply) -> Sequence[bytes]:
        """Return the messages that are due with `reply`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[Q]):
    """One RPC; `handle` and `refuse` are composed chains, `refuse` for a request that could not be read.

    `edge` makes a call's of its outcome and of when it started, in monotonic seconds.
    """

    method: Method
    read: Callable[[bytes], Q]
    handle: Handler[Q]
    refuse: Handler[PenstockError]
    edge: Callable[[Outcome, float], Edge]


class WholeEdge:
    """Folds a generated answer into one response."""

    def __init__(self, clock: Clock, outcome: Outcome, started_at: float) -> None:
        """Start with nothing said."""
        self._clock = clock
        self._outcome = outcome
        self._started_at = started_at
        self._texts: list[str] = []

    def __call__(self, reply: Reply) -> Sequence[bytes]:
        """Return the response once the answer is whole."""
        if isinstance(reply, Delta):
            self._texts.append(reply.text)
            return ()
        if not isinstance(reply, Completed):
            return (reply.SerializeToString(),)
        latency = self._clock.monotonic() - self._started_at
        output = "".join(self._texts)
        response = messages.response(self._outcome, reply.finish_reason, output=output, latency=latency)
        return (response.SerializeToString(),)


class StreamEdge:
    """Writes a generated answer as `started`, `delta`s and `completed`."""

    def __init__(self, clock: Clock, outcome: Outcome, started_at: float) -> None:
        """Start with nothing sent."""
        self._clock = clock
        self._outcome = outcome
        self._started_at = started_at
        self._has_started = False

    def __call__(self, reply: Reply) -> Sequence[bytes]:
        """Return the events of `reply`, `started` before the first of them."""
        events = [] if self._has_started else [messages.started(self._outcome)]
        self._has_started = True
        match reply:
            case Delta(text=text):
                pieces = range(0, len(text), LONGEST_DELTA)
                events += [messages.delta(text[start : start + LONGEST_DELTA]) for start in pieces]
            case Completed(finish_reason=finish_reason):
                latency = self._clock.monotonic() - self._started_at
                response = messages.response(self._outcome, finish_reason, output="", latency=latency)
                events.append(messages.completed(response))
            case message:
                error = f"{message.DESCRIPTOR.full_name} is no reply of a stream"
                raise TypeError(error)
        return [event.SerializeToString() for event in events]
