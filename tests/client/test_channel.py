"""Where a daemon is and how it is reached."""

from pathlib import Path

import pytest

from fakes.daemon import FakeDaemon, fake_daemon
from penstock import TLS, SyncAgentClient, Unreachable
from penstock.channel import address


def client_of(*daemons: FakeDaemon) -> SyncAgentClient:
    """Return one client of several replicas."""
    return SyncAgentClient(",".join(f"127.0.0.1:{daemon.port}" for daemon in daemons))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        ("agents.internal:443", "agents.internal:443"),
        ("[::1]:50051", "[::1]:50051"),
        ("agents.internal", "agents.internal:50051"),
        ("[::1]", "[::1]:50051"),
        ("unix:/run/penstock.sock", "unix:/run/penstock.sock"),
        ("dns:///agents.internal:443", "dns:///agents.internal:443"),
        ("10.0.0.1:1,10.0.0.2:1", "ipv4:10.0.0.1:1,10.0.0.2:1"),
        ("ipv4:10.0.0.1:1,10.0.0.2:65535", "ipv4:10.0.0.1:1,10.0.0.2:65535"),
        ("ipv6:[fe80::1]:50051", "ipv6:[fe80::1]:50051"),
        ("dns:///fe80::0", "dns:///fe80::0"),
        ("dns:///agents.internal:https", "dns:///agents.internal:https"),
        ("unix:99999", "unix:99999"),
        ("unix:/run/a:99999", "unix:/run/a:99999"),
        ("vsock:2:70000", "vsock:2:70000"),
        ("agents.internal:65535", "agents.internal:65535"),
    ],
)
def test_a_target_is_written_as_grpc_reads_it(target: str, expected: str) -> None:
    """Hosts get our port, lists get their scheme, and gRPC's own names pass."""
    assert address(target) == expected


def test_a_url_is_refused_with_what_to_write_instead() -> None:
    """Otherwise gRPC would take `https` for the name of a resolver, and say so less clearly."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        address("https://agents.internal")


@pytest.mark.parametrize(
    "target", ["a:b:c", "host:", ":5", "", "::1", "a,b", "host:x", "[::1", "a b", "10.0.0.1,10.0.0.2:5"]
)
def test_what_is_no_target_is_refused_with_what_would_be_one(target: str) -> None:
    """Before the first call waits for an address that never comes."""
    with pytest.raises(ValueError, match=r"is no target: it is HOST, HOST:PORT, \[IPV6\]:PORT or unix:PATH"):
        address(target)


@pytest.mark.parametrize("port", ["0", "65536", "85537", "4294967297", "00065536"])
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "agents.internal",
        "[::1]",
        "dns:agents.internal",
        "dns:///[::1]",
        "dns://10.0.0.1:53/a",
        "ipv4:10.0.0.1",
    ],
)
def test_a_port_that_is_none_is_refused(host: str, port: str) -> None:
    """Of 65537 gRPC would make port 1, and send the call and its key to whoever is there."""
    with pytest.raises(ValueError, match=r"is no target: it is HOST, .* and a PORT is 1 to 65535"):
        address(f"{host}:{port}")


@pytest.mark.parametrize("target", ["10.0.0.1:1,10.0.0.2:65536", "ipv4:10.0.0.1:65536,10.0.0.2:1"])
def test_each_port_of_a_list_is_looked_at(target: str) -> None:
    """One that is none is enough."""
    with pytest.raises(ValueError, match="is no target"):
        address(target)


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


def test_a_missing_certificate_file_is_an_os_error(tmp_path: Path) -> None:
    """It is found when the channel opens, before any call."""
    with pytest.raises(FileNotFoundError):
        SyncAgentClient(tls=TLS(ca=tmp_path / "missing.pem"))


@pytest.mark.parametrize("half", ["cert", "key"])
def test_a_certificate_and_its_key_go_together(half: str) -> None:
    """Half a pair would end the whole process, not a call."""
    with pytest.raises(ValueError, match="cert and key go together: give both"):
        TLS(**{half: "/nowhere/own.pem"})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ca": b""}, "ca.pem holds no certificate in PEM"),
        ({"ca": b"hello"}, "ca.pem holds no certificate in PEM"),
        ({"cert": b"\x30\x82", "key": b"-----BEGIN EC PRIVATE KEY-----"}, "cert.pem holds no certificate in PEM"),
        ({"cert": b"-----BEGIN CERTIFICATE-----", "key": b""}, "key.pem holds no private key in PEM"),
        ({"cert": b"-----BEGIN PRIVATE KEY-----", "key": b"-----BEGIN CERTIFICATE-----"}, "holds no private key"),
    ],
)
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, wrong: dict[str, bytes], said: str) -> None:
    """It is found when the channel opens; two that were swapped too."""
    for name, content in wrong.items():
        (tmp_path / f"{name}.pem").write_bytes(content)

    with pytest.raises(ValueError, match=said):
        SyncAgentClient(tls=TLS(**{name: tmp_path / f"{name}.pem" for name in wrong}))
