"""A daemon that was away for long is found again, in real time."""

import socket
from time import monotonic, sleep

from fakes.daemon import fake_daemon
from penstock import SyncAgentClient, Unreachable


def test_a_client_is_back_soon_after_a_long_outage() -> None:
    """It goes on trying every two seconds or so, where gRPC by itself tries ever more rarely."""
    with fake_daemon() as daemon:
        address = f"127.0.0.1:{daemon.port}"
        client = SyncAgentClient(address)
        client.process("hello")
    with client:
        # By gRPC's own rule the next try would come at least 3.3 seconds after these.
        turn_away(daemon.port, tries=4)

        with fake_daemon(address):
            took = seconds_until_answered(client)

    assert took < 3.2


def turn_away(port: int, *, tries: int) -> None:
    """Take the place of a daemon until somebody has tried to connect so often, in vain."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        for _ in range(tries):
            listening.accept()[0].close()


def seconds_until_answered(client: SyncAgentClient) -> float:
    """How long a client finds nobody; whatever else it finds is raised."""
    started = monotonic()
    while True:
        try:
            client.process("hello")
        except Unreachable:
            sleep(0.05)
        else:
            return monotonic() - started
