"""A daemon with a pool to steer: it does what an operator's key tells it to."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from fakes.daemon import Refusal
from penstock.v1.pool_service_pb2 import (
    BreakerState,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    ModelAction,
    SetModelRequest,
    SetModelResponse,
)
from penstock.v1.pool_service_pb2_grpc import PoolServiceServicer, add_PoolServiceServicer_to_server

OPERATOR = "pk_operator"


class FakePool(PoolServiceServicer):
    """Holds one model, `fast`, which those change who carry the operator's key."""

    def __init__(self) -> None:
        self.target = ""
        self.fast = Model(name="fast", provider="echo", enabled=True, breaker_state=BreakerState.BREAKER_STATE_CLOSED)

    def ListModels(self, request: ListModelsRequest, context: grpc.ServicerContext) -> ListModelsResponse:
        return ListModelsResponse(models=[self.fast])

    def SetModel(self, request: SetModelRequest, context: grpc.ServicerContext) -> SetModelResponse:
        if ("authorization", f"Bearer {OPERATOR}") not in context.invocation_metadata():
            context.abort_with_status(Refusal(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "operators only"))
        if request.name != "fast":
            context.abort_with_status(Refusal(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "there is no such model"))
        match request.action:
            case ModelAction.MODEL_ACTION_ENABLE:
                self.fast.enabled = True
                self.fast.breaker_state = BreakerState.BREAKER_STATE_CLOSED
            case ModelAction.MODEL_ACTION_DISABLE:
                self.fast.enabled = False
            case ModelAction.MODEL_ACTION_FORCE_OPEN:
                self.fast.breaker_state = BreakerState.BREAKER_STATE_OPEN
        return SetModelResponse(model=self.fast)


@contextmanager
def fake_pool() -> Iterator[FakePool]:
    """Serve one for the length of the block."""
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        pool = FakePool()
        add_PoolServiceServicer_to_server(pool, server)
        pool.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield pool
        finally:
            server.stop(None).wait()
