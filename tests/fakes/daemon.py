"""A small daemon of our own: it speaks the whole contract, and answers as it is told."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse

from penstock.v1 import (
    agent_service_pb2_grpc,
    cache_service_pb2_grpc,
    pool_service_pb2_grpc,
    usage_service_pb2_grpc,
)
from penstock.v1.agent_service_pb2 import (
    Agent,
    Completed,
    Delta,
    ListAgentsRequest,
    ListAgentsResponse,
    ProcessRequest,
    ProcessResponse,
    ProcessStreamRequest,
    ProcessStreamResponse,
    Started,
)
from penstock.v1.cache_service_pb2 import PurgeRequest, PurgeResponse
from penstock.v1.pool_service_pb2 import ListModelsRequest, ListModelsResponse, Model, SetModelRequest, SetModelResponse
from penstock.v1.usage_service_pb2 import GetUsageRequest, GetUsageResponse

Ask = ProcessRequest | ProcessStreamRequest
Behaviour = Callable[[Ask, grpc.ServicerContext], Iterator[str]]

HEALTHY_NAMES = ("", "penstock.v1.AgentService")


class Refusal(grpc.Status):
    """A status as a daemon sends it: one ErrorInfo of ours, and whatever else is given."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *details: Message,
        domain: str = "penstock.dev",
        metadata: dict[str, str] | None = None,
        trailers: tuple[tuple[str, str | bytes], ...] = (),
    ) -> None:
        status = Status(code=code.value[0], message=message)
        info = ErrorInfo(reason=reason, domain=domain, metadata=metadata)
        for detail in (info, *details):
            status.details.add().Pack(detail)
        self.code, self.details = code, message
        self.trailing_metadata = (("grpc-status-details-bin", status.SerializeToString()), *trailers)


def words(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
    """Answer with the request's own words, one at a time."""
    yield from (f"{word} " for word in request.input.split())


class FakeDaemon:
    """Serves both services and health on a port of 127.0.0.1, and remembers what it was asked."""

    def __init__(self, server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
        self.behave: Behaviour = words
        self.completed = ProcessResponse(model_used="fast")
        self.forgets_completed = False
        self.agents: list[Agent] = []
        self.models: list[Model] = []
        self.usage = GetUsageResponse()
        self.usage_requests: list[GetUsageRequest] = []
        self.purges: list[PurgeRequest] = []
        self.requests: list[Ask] = []
        self.metadata: dict[str, str | bytes] = {}
        self.seconds_left = 0.0
        self.asked = threading.Semaphore(0)
        self.ended = threading.Event()
        self._health = HealthServicer()
        self.serving(is_serving=True)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(_Agents(self), server)
        cache_service_pb2_grpc.add_CacheServiceServicer_to_server(_Cache(self), server)
        pool_service_pb2_grpc.add_PoolServiceServicer_to_server(_Pool(self), server)
        usage_service_pb2_grpc.add_UsageServiceServicer_to_server(_Usage(self), server)
        self.port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        self.target = f"localhost:{self.port}" if self.port > 1 else address

    def serving(self, *, is_serving: bool) -> None:
        """Say whether it serves."""
        status = HealthCheckResponse.SERVING if is_serving else HealthCheckResponse.NOT_SERVING
        for name in HEALTHY_NAMES:
            self._health.set(name, status)

    def note(self, context: grpc.ServicerContext) -> None:
        """Remember what came with a call, and be told of its end."""
        self.metadata = {key: value for key, value in context.invocation_metadata()}  # noqa: C416
        self.seconds_left = context.time_remaining()
        if not context.add_callback(self.ended.set):
            self.ended.set()
        self.asked.release()

    def response_to(self, request: Ask, output: str = "") -> ProcessResponse:
        """Return the whole response."""
        response = ProcessResponse(request_id=request.request_id, output=output)
        response.MergeFrom(self.completed)
        return response


class _Agents(agent_service_pb2_grpc.AgentServiceServicer):
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def Process(self, request: ProcessRequest, context: grpc.ServicerContext) -> ProcessResponse:
        self._daemon.requests.append(request)
        self._daemon.note(context)
        return self._daemon.response_to(request, "".join(self._daemon.behave(request, context)))

    def ProcessStream(
        self, request: ProcessStreamRequest, context: grpc.ServicerContext
    ) -> Iterator[ProcessStreamResponse]:
        self._daemon.requests.append(request)
        self._daemon.note(context)
        for number, piece in enumerate(self._daemon.behave(request, context)):
            if not number:
                yield ProcessStreamResponse(started=Started(request_id=request.request_id, model_used="fast"))
            yield ProcessStreamResponse(delta=Delta(text=piece))
        if not self._daemon.forgets_completed:
            yield ProcessStreamResponse(completed=Completed(response=self._daemon.response_to(request)))

    def ListAgents(self, request: ListAgentsRequest, context: grpc.ServicerContext) -> ListAgentsResponse:
        self._daemon.note(context)
        return ListAgentsResponse(agents=self._daemon.agents)


class _Cache(cache_service_pb2_grpc.CacheServiceServicer):
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def Purge(self, request: PurgeRequest, context: grpc.ServicerContext) -> PurgeResponse:
        self._daemon.note(context)
        self._daemon.purges.append(request)
        return PurgeResponse(entries=len(self._daemon.purges))


class _Pool(pool_service_pb2_grpc.PoolServiceServicer):
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def ListModels(self, request: ListModelsRequest, context: grpc.ServicerContext) -> ListModelsResponse:
        self._daemon.note(context)
        return ListModelsResponse(models=self._daemon.models)

    def SetModel(self, request: SetModelRequest, context: grpc.ServicerContext) -> SetModelResponse:
        context.abort_with_status(Refusal(grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED", "not yet"))


class _Usage(usage_service_pb2_grpc.UsageServiceServicer):
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    def GetUsage(self, request: GetUsageRequest, context: grpc.ServicerContext) -> GetUsageResponse:
        self._daemon.note(context)
        self._daemon.usage_requests.append(request)
        return self._daemon.usage


@contextmanager
def fake_daemon(
    address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> Iterator[FakeDaemon]:
    """Run a fake daemon for the length of the block."""
    with ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads)
        daemon = FakeDaemon(server, address, credentials)
        server.start()
        try:
            yield daemon
        finally:
            server.stop(None).wait()
