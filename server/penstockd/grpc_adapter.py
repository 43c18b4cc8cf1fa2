"""The one place that talks to gRPC's servicer context: RPCs in, calls through the chain, replies and statuses out."""

import asyncio
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial
from math import inf
from typing import Any, TypeAlias

import grpc

from penstockd.call import Call, Handler, Method
from penstockd.clock import Clock
from penstockd.endpoint import Endpoint
from penstockd.errors import PenstockError, StreamBroken
from penstockd.frames import let_go
from penstockd.grpc_replies import Context, Replies
from penstockd.logs.log import Log
from penstockd.metadata import Entries, Metadata
from penstockd.outcome import Outcome
from penstockd.running import Running

MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

LONGEST_STALL = 30.0
"""Seconds for which a reader may take nothing of its stream before it is cut."""
LOOK_FOR_STALLS_EVERY = 1.0


class Adapter(grpc.GenericRpcHandler):
    """Serves endpoints: runs each RPC through its chain and maps every ending to one status.

    Everything else, health and reflection and methods nobody knows, is left to other handlers.
    """

    def __init__(self, *, clock: Clock, log: Log, reads_certificates: bool = False) -> None:
        """Serve nothing yet; `reads_certificates` where callers must have one.

        `started` counts all calls ever, `stalls` those of them that were cut for their readers.
        """
        self._clock = clock
        self._log = log
        self._reads_certificates = reads_certificates
        self._endpoints: dict[str, Endpoint[Any]] = {}
        self._handlers: dict[str, MethodHandler] = {}
        self._generation = 0
        self._running: set[Running] = set()
        self._unsent = 0
        self._sent_at = -inf
        self.started = 0
        self.stalls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def serve(self, endpoints: Iterable[Endpoint[Any]]) -> Callable[[], bool]:
        """Serve these endpoints from now on; calls in flight keep the ones they came by.

        Returns what says whether any such older call is still in flight.
        """
        self._endpoints = {endpoint.method.path: endpoint for endpoint in endpoints}
        self._handlers = {path: self._handler(endpoint.method) for path, endpoint in self._endpoints.items()}
        self._generation += 1
        generation = self._generation
        return lambda: any(running.generation < generation for running in self._running)

    @property
    def in_flight(self) -> int:
        """How many calls are on their way."""
        return len(self._running)

    @property
    def unsent(self) -> int:
        """How many calls gRPC has not sent to their end: those in flight, and those whose readers are slow."""
        return self._unsent

    @property
    def since_sent(self) -> float:
        """Seconds since gRPC sent the latest call to its end; infinite before the first."""
        return self._clock.monotonic() - self._sent_at

    async def idle(self) -> None:
        """Return when no call is in flight and each was sent to its end."""
        await self._idle.wait()

    def cut(self, error: PenstockError) -> None:
        """End every call in flight with `error`, unless it has its answer; each still settles what it used."""
        for running in self._running:
            if not running.is_answered:
                running.cut(error)

    async def cut_stalled_readers(self) -> None:
        """For ever, cut each call whose reader takes nothing: it would pin its upstream. One timer serves all calls."""
        while True:
            await self._clock.sleep(LOOK_FOR_STALLS_EVERY)
            for running in self._running:
                if self._clock.monotonic() - running.writing_since > LONGEST_STALL:
                    running.writing_since = inf
                    self.stalls += 1
                    stalled = f"the reader took nothing for {LONGEST_STALL:.0f} s"
                    running.cut(StreamBroken(stalled))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "MethodHandler | None":
        """Return our handler for a method of ours, else None. No interceptor: one would cost each call 5 % more."""
        handler = self._handlers.get(handler_call_details.method)
        if handler is not None:
            _entries.set(handler_call_details.invocation_metadata)
        return handler

    def _handler(self, method: Method) -> MethodHandler:
        """Return gRPC's handler of `method`: a plain coroutine, as gRPC finds out at every call what it has."""

        async def run(data: bytes, context: Context) -> bytes | None:
            """Run one RPC through its chain; whatever it raises ends as a status."""
            task: Any = asyncio.current_task()  # and no cast, which is a frame for each call
            outcome = Outcome()
            # Only now, with its message there, is it tied to one configuration: none is left while it still arrives.
            endpoint = self._endpoints[method.path]
            running = Running(task, outcome, self._generation)
            replies = Replies(context, running, self._clock, streams=method.streams)
            self._begin(running)
            try:
                call, handle = self._received(endpoint, data, context, replies)
                replies.begin(endpoint.edge(outcome, call.started_at))
                await handle(call)
                message = await replies.end()
            except BaseException as error:
                # The one error boundary.
                told = outcome.told(error)
                if told is None:
                    raise asyncio.CancelledError from error
                if told is outcome.cut:
                    task.uncancel()
                elif told is not error:
                    self._log.exception("a call failed unforeseen", error, **outcome.log_fields)
                await replies.abort(told)
            finally:
                self._running.discard(running)
                if (ending := sys.exception()) is not None:
                    task.add_done_callback(partial(_let_go, ending))
            return message

        if method.streams:
            return grpc.unary_stream_rpc_method_handler(run)
        return grpc.unary_unary_rpc_method_handler(run)

    def _begin(self, running: Running) -> None:
        if not self._unsent:
            self._idle.clear()
        self._running.add(running)
        self.started += 1
        self._unsent += 1
        # The task is gRPC's own, which ends once it has sent what we return.
        running.task.add_done_callback(self._sent)

    def _sent(self, _: asyncio.Task[None]) -> None:
        self._unsent -= 1
        self._sent_at = self._clock.monotonic()
        if not self._unsent:
            self._idle.set()

    def _received(
        self, endpoint: Endpoint[Any], data: bytes, context: Context, replies: Replies
    ) -> tuple[Call[Any], Handler[Any]]:
        """The call that `data` is, and what handles it, even where it cannot be read."""
        entries: Entries = _entries.get()
        _entries.set(())
        now = self._clock.monotonic()
        remaining: Any = context.time_remaining()  # None where there is no deadline, whatever its stub says
        request: object
        handle: Handler[Any]
        try:
            request, handle = endpoint.read(data), endpoint.handle
        except PenstockError as error:
            request, handle = error, endpoint.refuse
        call = Call(
            method=endpoint.method,
            request=request,
            send=replies.send,
            outcome=replies.outcome,
            started_at=now,
            expires_at=inf if remaining is None else now + remaining,
            metadata=Metadata(entries),
            peer=context.peer(),
            sans=_sans(context) if self._reads_certificates else None,
        )
        return call, handle


def _let_go(ending: BaseException, _task: asyncio.Task[None]) -> None:
    """Free the call that `ending` ended: gRPC keeps it with its own part of the call, and that with its frames."""
    let_go(ending, grpc.aio.AbortError, asyncio.CancelledError)


def _sans(context: Context) -> tuple[str, ...]:
    """The names in the certificate that gRPC has verified."""
    properties = context.auth_context()
    return tuple(name.decode() for kind in _SAN_KINDS for name in properties.get(kind, ()))


_entries: ContextVar[Any] = ContextVar("entries")
"""A call's metadata, from where its method is found to its handler, both in one task of gRPC's, which makes all of it
anew whenever it is asked. Taken out at once, lest what copies the context, as a connection does, keep a credential."""
_SAN_KINDS = ("peer_uri", "peer_dns", "peer_email")
