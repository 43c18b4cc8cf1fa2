"""What orchestrators and load balancers are told: grpc.health.v1, answered from state, never by asking a provider."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping

import grpc
from grpc_health.v1 import health, health_pb2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LIVENESS = "liveness"


class HealthServicer(health.aio.HealthServicer):  # type: ignore[name-defined,misc]  # the stubs lack its aio twin
    """The reference servicer, with the List that it lacks, and an end to its watches."""

    def __init__(self) -> None:
        """Know no name but the empty one."""
        super().__init__()
        self._watches: set[asyncio.Timeout] = set()

    async def Watch(  # noqa: N802 - the contract's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: "grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]",
    ) -> None:
        """Send the status of a name and every change of it, until the watcher leaves or all watches are ended."""
        watch = asyncio.timeout(None)
        self._watches.add(watch)
        try:
            async with watch:
                await super().Watch(request, context)
        except TimeoutError:
            pass  # it was ended, and says so by its status
        finally:
            self._watches.discard(watch)

    def end_watches(self) -> None:
        """End every watch: gRPC waits for them as for any other call."""
        for watch in self._watches:
            watch.reschedule(asyncio.get_running_loop().time())

    async def List(  # noqa: N802 - the contract's name
        self,
        request: health_pb2.HealthListRequest,  # noqa: ARG002 - it says nothing
        context: "grpc.aio.ServicerContext[health_pb2.HealthListRequest, health_pb2.HealthListResponse]",  # noqa: ARG002
    ) -> health_pb2.HealthListResponse:
        """Return every name's status."""
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._server_status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def forget(self, name: str) -> None:
        """Tell the watchers of `name` that it is unknown, and know it no longer: whoever checks it finds none."""
        await self.set(name, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        self._server_status.pop(name, None)


class Health:
    """Keeps the health names: ready ones flip together, `liveness` never does, each model's has its own.

    Ready means: nothing stands against it. What does is kept as reasons, such as "starting" and "draining".
    """

    def __init__(self, services: Iterable[str]) -> None:
        """Start as alive and not ready."""
        self.servicer = HealthServicer()
        self._ready_names = ("", *services)
        self._models: dict[str, bool] = {}
        self._reasons = {"starting"}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def reasons(self) -> list[str]:
        """What stands against being ready; empty when ready."""
        return sorted(self._reasons)

    def start(self) -> None:
        """Show every name for the first time."""
        self._show(LIVENESS, is_serving=True)
        self._show_ready()

    def add_reason(self, reason: str) -> None:
        """Be not ready, because of `reason`."""
        self._reasons.add(reason)
        self._show_ready()

    def remove_reason(self, reason: str) -> None:
        """Be ready again, if `reason` was the last that stood against it."""
        self._reasons.discard(reason)
        self._show_ready()

    def set_models(self, models: Mapping[str, bool]) -> None:
        """Know exactly these models from now on, and whether their circuits let calls through."""
        for name in self._models.keys() - models.keys():
            self._soon(self.servicer.forget(f"model/{name}"))
        self._models = dict(models)
        self._show_models()

    def set_model(self, name: str, *, is_serving: bool) -> None:
        """Show whether a model's circuit lets calls through."""
        if name in self._models:
            self._models[name] = is_serving
            self._show_models()

    def _show_ready(self) -> None:
        for name in self._ready_names:
            self._show(name, is_serving=not self._reasons)
        self._show_models()

    def _show_models(self) -> None:
        for name, is_serving in self._models.items():
            self._show(f"model/{name}", is_serving=is_serving and "draining" not in self._reasons)

    def _show(self, name: str, *, is_serving: bool) -> None:
        self._soon(self.servicer.set(name, SERVING if is_serving else NOT_SERVING))

    def _soon(self, change: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(change)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
