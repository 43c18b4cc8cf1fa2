"""The contract through grpcurl, which knows it by reflection alone."""

import json

import pytest

from peers import peer
from peers.live_daemon import Daemons, Penstockd, run

ALL_AT_ONE = pytest.mark.asyncio(loop_scope="module")


async def grpcurl(daemon: Penstockd, *arguments: str, request: str = "") -> tuple[int, str, str]:
    """Run grpcurl against a daemon."""
    data = ["-d", request] if request else []
    return await run(peer("grpcurl"), "-plaintext", *data, daemon.target, *arguments)


@ALL_AT_ONE
async def test_it_lists_what_the_daemon_serves(echo: Penstockd) -> None:
    """Services and their methods."""
    _, services, _ = await grpcurl(echo, "list")
    _, methods, _ = await grpcurl(echo, "list", "penstock.v1.AgentService")

    assert services.split() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "penstock.v1.AgentService",
        "penstock.v1.CacheService",
        "penstock.v1.PoolService",
        "penstock.v1.UsageService",
    ]
    assert [name.rpartition(".")[2] for name in methods.split()] == ["ListAgents", "Process", "ProcessStream"]


@ALL_AT_ONE
async def test_it_calls_an_agent_both_ways(echo: Penstockd) -> None:
    """One response, and a stream of events."""
    code, answer, _ = await grpcurl(echo, "penstock.v1.AgentService/Process", request='{"input": "hello there"}')
    _, events, _ = await grpcurl(echo, "penstock.v1.AgentService/ProcessStream", request='{"input": "hello there"}')

    assert (code, json.loads(answer)["output"]) == (0, "hello there")
    assert events.index('"started"') < events.index('"hello"') < events.index('" there"') < events.index('"completed"')


async def test_without_reflection_it_learns_nothing(daemons: Daemons) -> None:
    """As in production, where `server.reflection` is false unless it is asked for."""
    daemon = await daemons.start(server={"reflection": False})

    code, _, complaint = await grpcurl(daemon, "list")

    assert code != 0
    assert "does not support the reflection API" in complaint
