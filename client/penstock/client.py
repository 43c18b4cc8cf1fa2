"""The client for asyncio."""

import asyncio
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack, cast

import grpc.aio

from penstock.connection import DEFAULT_TIMEOUT, Call, Connection
from penstock.fold import Fold
from penstock.pool import Action, set_model_request
from penstock.request import Options
from penstock.tls import TLS
from penstock.usage import UsageOptions
from penstock.v1.agent_service_pb2 import (
    Agent,
    ListAgentsRequest,
    ProcessRequest,
    ProcessResponse,
    ProcessStreamRequest,
    ProcessStreamResponse,
)
from penstock.v1.agent_service_pb2_grpc import AgentServiceStub
from penstock.v1.pool_service_pb2 import ListModelsRequest, Model
from penstock.v1.pool_service_pb2_grpc import PoolServiceStub
from penstock.v1.usage_service_pb2 import GetUsageResponse
from penstock.v1.usage_service_pb2_grpc import UsageServiceStub

if TYPE_CHECKING:  # only the stubs' type files know the asynchronous ones
    from penstock.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from penstock.v1.pool_service_pb2_grpc import PoolServiceAsyncStub
    from penstock.v1.usage_service_pb2_grpc import UsageServiceAsyncStub


Request = TypeVar("Request")
Response = TypeVar("Response")


class AgentClient:
    """Asks the agents of a Penstock daemon; every call has a deadline, and cancelling its task cancels the call.

    `target` is HOST:PORT, unix:PATH or several IPv4:PORT with commas between; None reads PENSTOCK_TARGET, else it is
    127.0.0.1:50051. `api_key` None reads PENSTOCK_API_KEY. `timeout` is in seconds, for calls that name none; one that
    is longer than gRPC can say is 27,000 hours. `tls` is True for the usual authorities, or a TLS, whose files are read
    here: a ValueError says which cannot be used. Failed calls raise a PenstockError.

    A client belongs to the event loop it was first used on. Make it after an os.fork(), not before; even then gRPC now
    and then loses a child's first call, as UNREACHABLE. Once closed it raises RuntimeError, and the calls that other
    tasks still had running end in a PenstockError whose reason is CANCELLED.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        tls: bool | TLS = False,
    ) -> None:
        self._connection = Connection(target, api_key=api_key, timeout=timeout, tls=tls)

    async def process(self, text: str, *, timeout: float | None = None, **options: Unpack[Options]) -> ProcessResponse:
        """Return the answer to `text`, whole."""
        call = self._connection.ask(ProcessRequest, text, timeout, options)
        return await _answer(self._agents.Process, call)

    def stream(self, text: str, *, timeout: float | None = None, **options: Unpack[Options]) -> "Stream":
        """Start the answer to `text` and return it as it is written."""
        call = self._connection.ask(ProcessStreamRequest, text, timeout, options)
        events = self._agents.ProcessStream(call.request, timeout=call.timeout, metadata=call.metadata)
        return Stream(call, events, asyncio.get_event_loop())

    async def list_agents(self, *, timeout: float | None = None) -> list[Agent]:
        """Return the agents that this caller may use, by name."""
        call = self._connection.call(ListAgentsRequest(), timeout)
        response = await _answer(self._agents.ListAgents, call)
        return list(response.agents)

    async def list_models(self, *, timeout: float | None = None) -> list[Model]:
        """Return the models of the pool, by name, as the replica that answers sees them."""
        call = self._connection.call(ListModelsRequest(), timeout)
        response = await _answer(self._pool.ListModels, call)
        return list(response.models)

    async def set_model(self, name: str, action: Action, *, timeout: float | None = None) -> Model:
        """Enable, disable or force open one model of the replica that answers, and return it; for operators."""
        call = self._connection.call(set_model_request(name, action), timeout)
        response = await _answer(self._pool.SetModel, call)
        return response.model

    async def get_usage(self, *, timeout: float | None = None, **options: Unpack[UsageOptions]) -> GetUsageResponse:
        """Return what was used and what it cost; an empty question is the caller's tenant, this month (UTC)."""
        call = self._connection.ask_usage(timeout, options)
        return await _answer(self._usage.GetUsage, call)

    async def close(self) -> None:
        """Close the connection; calls that still run are cancelled."""
        self._connection.close()
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Opened late, because a channel belongs to the event loop that runs when it is made.
    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        self._connection.loop = asyncio.get_event_loop()
        return self._connection.way.open_aio()

    @cached_property
    def _agents(self) -> "AgentServiceAsyncStub":
        return cast("AgentServiceAsyncStub", AgentServiceStub(self._channel))

    @cached_property
    def _pool(self) -> "PoolServiceAsyncStub":
        return cast("PoolServiceAsyncStub", PoolServiceStub(self._channel))

    @cached_property
    def _usage(self) -> "UsageServiceAsyncStub":
        return cast("UsageServiceAsyncStub", UsageServiceStub(self._channel))


class Stream:
    """The text of one answer as it is written.

    Leaving its `async with` block, `aclose()` and letting go of it, as a `break` does, cancel what is left of the call.
    """

    def __init__(
        self,
        call: Call[ProcessStreamRequest],
        events: grpc.aio.UnaryStreamCall[ProcessStreamRequest, ProcessStreamResponse],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._fold = Fold(call)
        self._events = events
        self._loop = loop

    @property
    def response(self) -> ProcessResponse:
        """The whole response, its output included; raises RuntimeError before the text was read to its end."""
        return self._fold.response

    def cancel(self) -> None:
        """Cancel the call, if it still runs."""
        self._events.cancel()

    async def aclose(self) -> None:
        """Cancel the call, if it still runs; what `contextlib.aclosing` asks for."""
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        with self._fold.errors():
            while (event := await self._events.read()) is not grpc.aio.EOF:
                if text := self._fold.add(cast("ProcessStreamResponse", event)):
                    return text
        self._fold.finish()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __del__(self) -> None:
        # gRPC itself lets a call run on that nobody holds (grpc/grpc#43462). This may be any thread, and any moment.
        if self._events.done():
            return
        try:
            self._loop.call_soon_threadsafe(self._events.cancel)
        except RuntimeError:  # the loop is closed, and nothing of it will read or pay any more
            return


async def _answer(method: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]", call: Call[Request]) -> Response:
    """Make a call and wait for its answer; whoever cancels that finds their own cancellation again."""
    with call.errors():
        made = method(call.request, timeout=call.timeout, metadata=call.metadata)
        # Awaiting the call itself raises a CancelledError of gRPC's, without the words by which anyio knows its own.
        try:
            await made.code()
        except asyncio.CancelledError:
            made.cancel()
            raise
        return await made
