"""Health as orchestrators see it: by the probe that they use, and by its watches."""

import asyncio
import signal

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.models import openai
from fakes.raw_http2 import SlowReader
from fakes.rpc import PROCESS, wire
from fakes.upstream import Upstream, response
from peers import peer
from peers.live_daemon import Daemons, Penstockd, run
from penstock.v1.agent_service_pb2 import ProcessRequest

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ALL_AT_ONE = pytest.mark.asyncio(loop_scope="module")


async def probe(daemon: Penstockd, service: str = "") -> int:
    """What grpc-health-probe exits with."""
    code, _, _ = await run(peer("grpc-health-probe"), f"-addr={daemon.target}", f"-service={service}")
    return code


@ALL_AT_ONE
@pytest.mark.parametrize("service", ["", "liveness", "penstock.v1.AgentService", "model/echo"])
async def test_the_probe_finds_a_ready_daemon_serving(service: str, echo: Penstockd) -> None:
    """From the moment that it says it serves, by each of its names."""
    assert await probe(echo, service) == 0


@ALL_AT_ONE
async def test_the_probe_exits_3_for_a_name_nobody_knows(echo: Penstockd) -> None:
    """A wrong name in a deployment is found out, rather than taken for health."""
    assert await probe(echo, "penstock.v1.NoSuchService") == 3


async def test_during_the_drain_delay_the_daemon_is_alive_and_not_serving(daemons: Daemons) -> None:
    """Load balancers leave, and the kubelet does not restart it; calls are still answered."""
    daemon = await daemons.start(server={"drain_delay": "20s"})

    daemon.signal()
    await daemon.line("draining")

    assert await probe(daemon) == 4
    assert await probe(daemon, "penstock.v1.AgentService") == 4
    assert await probe(daemon, "model/echo") == 4
    assert await probe(daemon, "liveness") == 0
    async with wire(daemon.target) as client:
        assert (await client.ask(PROCESS, ProcessRequest(input="hi"))).code == grpc.StatusCode.OK
    daemon.signal()
    assert await daemon.exit_code() == 0


async def test_a_watch_tells_of_a_drain_and_does_not_hold_it_up(daemons: Daemons) -> None:
    """A watch is open for as long as its client lives, which must not be as long as the daemon lives.

    Nor is it taken for an answer that is still under way, such as that of a call just before.
    """
    daemon = await daemons.start()

    async with wire(daemon.target) as client, grpc.aio.insecure_channel(daemon.target) as channel:
        await client.ask(PROCESS, ProcessRequest(input="hi"))
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        seen = [(await watch.read()).status]
        daemon.signal(signal.SIGTERM)
        seen.append((await watch.read()).status)

        assert seen == [SERVING, NOT_SERVING]
        async with asyncio.timeout(3.0):
            await daemon.line("stopped")
        assert await daemon.exit_code() == 0


async def test_a_watcher_who_reads_nothing_holds_up_nobody(daemons: Daemons) -> None:
    """Neither other watchers nor a change, which all of them are told of; it needs no key, and anybody may be one."""
    daemon = await daemons.start(server={"drain_delay": "20s"})
    request = health_pb2.HealthCheckRequest(service="penstock.v1.AgentService")
    mute = SlowReader(window=0)
    await mute.connect(daemon.target)
    mute.ask("/grpc.health.v1.Health/Watch", request.SerializeToString())
    await asyncio.sleep(0.3)

    async with grpc.aio.insecure_channel(daemon.target) as channel, asyncio.timeout(4.0):
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(request)
        seen = [(await watch.read()).status]
        daemon.signal()
        seen.append((await watch.read()).status)
        seen.append((await health.Check(request)).status)

    mute.close()
    daemon.signal()
    assert seen == [SERVING, NOT_SERVING, NOT_SERVING]
    assert await daemon.exit_code() == 0


async def test_a_model_whose_circuit_opens_is_not_serving_and_the_daemon_is(
    daemons: Daemons, upstream: Upstream
) -> None:
    """A lost upstream shows in its own name, and does not unlist the replica."""
    upstream.answer_always(response(b"{}", status=500))
    daemon = await daemons.start(
        models={"fast": openai(upstream)}, retry={"max_attempts": 1}, circuit_breaker={"consecutive_failures": 2}
    )

    async with wire(daemon.target) as client:
        await asyncio.gather(*(client.ask(PROCESS, ProcessRequest(input="hi")) for _ in range(2)))
    await daemon.line("circuit changed", model="fast", state="open")

    async with grpc.aio.insecure_channel(daemon.target) as channel:
        listed = await health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=20)
    assert {name: entry.status for name, entry in listed.statuses.items()} == {
        "": SERVING,
        "liveness": SERVING,
        "penstock.v1.AgentService": SERVING,
        "penstock.v1.CacheService": SERVING,
        "penstock.v1.PoolService": SERVING,
        "penstock.v1.UsageService": SERVING,
        "model/fast": NOT_SERVING,
    }
