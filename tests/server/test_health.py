"""Health is answered from what the daemon knows of itself."""

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.loop import settled
from fakes.rpc import Wire
from penstockd.health import Health

SERVING, NOT_SERVING = "SERVING", "NOT_SERVING"


class Asked:
    """A health service, and a client of it."""

    def __init__(self, health: Health, channel: grpc.aio.Channel) -> None:
        self.health = health
        self.channel = channel
        self.stub = health_pb2_grpc.HealthStub(channel)

    async def all(self) -> dict[str, str]:
        """Every name and its status."""
        await settled()
        response = await self.stub.List(health_pb2.HealthListRequest())
        return {name: status_name(each.status) for name, each in response.statuses.items()}

    async def check(self, name: str) -> str:
        """The status of one name."""
        await settled()
        response = await self.stub.Check(health_pb2.HealthCheckRequest(service=name))
        return status_name(response.status)


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    """A health service for the services s and t, not started yet."""
    health = Health(["s", "t"])
    server = grpc.aio.server()
    health.servicer.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Asked(health, channel)
    await server.stop(None)


def status_name(status: int) -> str:
    """A status by its name."""
    return health_pb2.HealthCheckResponse.ServingStatus.Name(status)


async def test_a_start_is_alive_and_not_ready(asked: Asked) -> None:
    """Until the reason "starting" is gone."""
    asked.health.start()

    assert await asked.all() == {"": NOT_SERVING, "s": NOT_SERVING, "t": NOT_SERVING, "liveness": SERVING}
    assert asked.health.reasons == ["starting"]
    asked.health.remove_reason("starting")
    assert await asked.all() == {"": SERVING, "s": SERVING, "t": SERVING, "liveness": SERVING}
    assert asked.health.reasons == []


async def test_ready_means_that_nothing_stands_against_it(asked: Asked) -> None:
    """The last reason to go makes it ready."""
    asked.health.remove_reason("starting")
    asked.health.add_reason("ledger")
    asked.health.add_reason("draining")

    asked.health.remove_reason("draining")

    assert await asked.check("") == NOT_SERVING
    assert asked.health.reasons == ["ledger"]
    asked.health.remove_reason("ledger")
    assert await asked.check("s") == SERVING


async def test_draining_leaves_nothing_but_life(asked: Asked) -> None:
    """Models too are not serving; liveness is."""
    asked.health.set_models({"a": True})
    asked.health.start()
    asked.health.remove_reason("starting")

    asked.health.add_reason("draining")

    statuses = await asked.all()
    assert {name for name, status in statuses.items() if status == SERVING} == {"liveness"}
    assert statuses["model/a"] == NOT_SERVING


async def test_a_lost_model_shows_by_itself(asked: Asked) -> None:
    """The replica stays ready."""
    asked.health.set_models({"a": True, "b": False})
    asked.health.start()
    asked.health.remove_reason("starting")

    asked.health.set_model("a", is_serving=False)

    statuses = await asked.all()
    assert (statuses["model/a"], statuses["model/b"], statuses[""]) == (NOT_SERVING, NOT_SERVING, SERVING)
    asked.health.set_model("a", is_serving=True)
    assert await asked.check("model/a") == SERVING


async def test_a_model_that_is_gone_is_unknown(asked: Asked) -> None:
    """Not found nor listed, and its watchers are told; a model that was never known does not appear."""
    asked.health.set_models({"a": True})
    await settled()
    watching = asked.stub.Watch(health_pb2.HealthCheckRequest(service="model/a"))
    assert status_name((await watching.read()).status) == SERVING

    asked.health.set_models({"b": True})
    asked.health.set_model("a", is_serving=False)

    assert status_name((await watching.read()).status) == "SERVICE_UNKNOWN"
    assert "model/a" not in await asked.all()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asked.check("model/a")
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert await asked.check("model/b") == SERVING
    watching.cancel()


async def test_a_watcher_sees_a_model_come_back(asked: Asked) -> None:
    """It was forgotten, and its watcher was not."""
    asked.health.set_models({"a": True})
    await settled()
    watching = asked.stub.Watch(health_pb2.HealthCheckRequest(service="model/a"))
    seen = [status_name((await watching.read()).status)]

    for models in ({}, {"a": False}):
        asked.health.set_models(models)
        seen.append(status_name((await watching.read()).status))

    watching.cancel()
    assert seen == [SERVING, "SERVICE_UNKNOWN", NOT_SERVING]


async def test_an_unknown_name_is_not_found(asked: Asked) -> None:
    """As the protocol has it."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asked.check("nobody")

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["Check", "List", "Watch"])
async def test_bytes_that_are_no_request_are_the_callers_mistake(
    asked: Asked, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It hears what they should be and nothing of the decoder; the log has no error of it."""
    ended = await Wire(asked.channel).ask(f"/grpc.health.v1.Health/{method}", b"\xff")

    kind = "HealthListRequest" if method == "List" else "HealthCheckRequest"
    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT
    assert ended.message == f"the request's bytes are no grpc.health.v1.{kind}"
    assert caplog.records == []


async def test_watches_can_be_ended(asked: Asked) -> None:
    """Each with a status, and no other watch by that."""
    asked.health.start()
    first = asked.stub.Watch(health_pb2.HealthCheckRequest(service="liveness"))
    assert (await first.read()).status == health_pb2.HealthCheckResponse.SERVING

    asked.health.servicer.end_watches()

    assert await first.read() is grpc.aio.EOF
    assert await first.code() is grpc.StatusCode.OK
    second = asked.stub.Watch(health_pb2.HealthCheckRequest(service="liveness"))
    assert (await second.read()).status == health_pb2.HealthCheckResponse.SERVING
    second.cancel()


async def test_a_watcher_sees_every_change(asked: Asked) -> None:
    """Now, and at each flip."""
    asked.health.start()
    await settled()
    watching = asked.stub.Watch(health_pb2.HealthCheckRequest(service=""))
    seen = [status_name((await watching.read()).status)]

    asked.health.remove_reason("starting")
    seen.append(status_name((await watching.read()).status))
    asked.health.add_reason("draining")
    seen.append(status_name((await watching.read()).status))
    watching.cancel()

    assert seen == [NOT_SERVING, SERVING, NOT_SERVING]
