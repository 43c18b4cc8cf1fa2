"""The client for threads: AgentClient's twin."""

from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

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

if TYPE_CHECKING:
    from grpc import _CallIterator


class SyncAgentClient:
    """Asks the agents of a Penstock daemon from any thread; every call has a deadline.

    Its arguments are AgentClient's. Failed calls raise a PenstockError. Once closed it raises RuntimeError. As with its
    twin, make it after an os.fork(), not before.
    """

    _is_health_checked = True

    def __init__(
        self,
        target: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        tls: bool | TLS = False,
    ) -> None:
        self._connection = Connection(target, api_key=api_key, timeout=timeout, tls=tls)
        self._channel = self._connection.way.open_sync(is_health_checked=self._is_health_checked)
        self._agents = AgentServiceStub(self._channel)
        self._pool = PoolServiceStub(self._channel)
        self._usage = UsageServiceStub(self._channel)

    def process(self, text: str, *, timeout: float | None = None, **options: Unpack[Options]) -> ProcessResponse:
        """Return the answer to `text`, whole."""
        call = self._connection.ask(ProcessRequest, text, timeout, options)
        with call.errors():
            return self._agents.Process(call.request, timeout=call.timeout, metadata=call.metadata)

    def stream(self, text: str, *, timeout: float | None = None, **options: Unpack[Options]) -> "SyncStream":
        """Start the answer to `text` and return it as it is written."""
        call = self._connection.ask(ProcessStreamRequest, text, timeout, options)
        return SyncStream(call, self._agents.ProcessStream(call.request, timeout=call.timeout, metadata=call.metadata))

    def list_agents(self, *, timeout: float | None = None) -> list[Agent]:
        """Return the agents that this caller may use, by name."""
        call = self._connection.call(ListAgentsRequest(), timeout)
        with call.errors():
            response = self._agents.ListAgents(call.request, timeout=call.timeout, metadata=call.metadata)
        return list(response.agents)

    def list_models(self, *, timeout: float | None = None) -> list[Model]:
        """Return the models of the pool, by name, as the replica that answers sees them."""
        call = self._connection.call(ListModelsRequest(), timeout)
        with call.errors():
            response = self._pool.ListModels(call.request, timeout=call.timeout, metadata=call.metadata)
        return list(response.models)

    def set_model(self, name: str, action: Action, *, timeout: float | None = None) -> Model:
        """Enable, disable or force open one model of the replica that answers, and return it; for operators."""
        call = self._connection.call(set_model_request(name, action), timeout)
        with call.errors():
            return self._pool.SetModel(call.request, timeout=call.timeout, metadata=call.metadata).model

    def get_usage(self, *, timeout: float | None = None, **options: Unpack[UsageOptions]) -> GetUsageResponse:
        """Return what was used and what it cost; an empty question is the caller's tenant, this month (UTC)."""
        call = self._connection.ask_usage(timeout, options)
        with call.errors():
            return self._usage.GetUsage(call.request, timeout=call.timeout, metadata=call.metadata)

    def close(self) -> None:
        """Close the connection; calls that still run are cancelled."""
        self._connection.close()
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SyncStream:
    """The text of one answer as it is written; leaving its `with` block cancels what is left of the call."""

    def __init__(self, call: Call[ProcessStreamRequest], events: "_CallIterator[ProcessStreamResponse]") -> None:
        self._fold = Fold(call)
        self._events = events

    @property
    def response(self) -> ProcessResponse:
        """The whole response, its output included; raises RuntimeError before the text was read to its end."""
        return self._fold.response

    def cancel(self) -> None:
        """Cancel the call, if it still runs."""
        self._events.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        with self._fold.errors():
            for event in self._events:
                if text := self._fold.add(event):
                    return text
        self._fold.finish()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
