"""How a daemon is reached, and how calls spread over its replicas."""

from pathlib import Path

import pytest

from fakes.daemon import FakeDaemon, fake_daemon
from penstock import SyncAgentClient, Unreachable


def client_of(*daemons: FakeDaemon) -> SyncAgentClient:
    """Return one client of several replicas."""
    return SyncAgentClient(",".join(f"127.0.0.1:{daemon.port}" for daemon in daemons))


def test_a_unix_socket_is_a_target(tmp_path: Path) -> None:
    """`unix:PATH` reaches a daemon without a port."""
    with fake_daemon(f"unix:{tmp_path}/s") as daemon, SyncAgentClient(daemon.target) as client:
        assert client.process("hello").output == "hello "


def test_calls_go_round_the_replicas() -> None:
    """A list of addresses is one channel, and each of its daemons gets its turns."""
    with fake_daemon() as one, fake_daemon() as other, client_of(one, other) as client:
        while not (one.requests and other.requests):
            client.process("hello")


def test_a_replica_that_does_not_serve_gets_no_call() -> None:
    """Health is watched on every connection, and the other replica takes all."""
    with fake_daemon() as drained, fake_daemon() as other:
        drained.serving(is_serving=False)

        with client_of(drained, other) as client:
            for _ in range(20):
                client.process("hello")

        assert (len(drained.requests), len(other.requests)) == (0, 20)


def test_a_daemon_that_does_not_serve_is_unreachable(daemon: FakeDaemon) -> None:
    """Health is checked before a call is sent."""
    daemon.serving(is_serving=False)

    with SyncAgentClient(daemon.target) as client, pytest.raises(Unreachable, match="no replica is serving: "):
        client.process("hello")

    assert daemon.requests == []
