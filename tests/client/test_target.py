"""Where a daemon is."""

import pytest

from penstock.target import address


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
        ("10.0.0.1,10.0.0.2:5", "ipv4:10.0.0.1:50051,10.0.0.2:5"),
        ("ipv4:10.0.0.1", "ipv4:10.0.0.1:50051"),
        ("ipv4:///10.0.0.1:1", "ipv4:///10.0.0.1:1"),
        ("ipv6:[fe80::1]:50051", "ipv6:[fe80::1]:50051"),
        ("ipv6:[fe80::1],[fe80::2]:1", "ipv6:[fe80::1]:50051,[fe80::2]:1"),
        ("dns:///agents.internal", "dns:///agents.internal:50051"),
        ("dns:agents.internal", "dns:agents.internal:50051"),
        ("dns:///[fe80::0]", "dns:///[fe80::0]:50051"),
        ("dns://10.0.0.1:53/agents.internal", "dns://10.0.0.1:53/agents.internal:50051"),
        ("dns://[::1]:53/agents.internal:1", "dns://[::1]:53/agents.internal:1"),
        ("dns:///agents.internal:https", "dns:///agents.internal:https"),
        ("dns:///agents.internal:1?x=1", "dns:///agents.internal:1?x=1"),
        ("dns:///agents.internal?x=1", "dns:///agents.internal:50051?x=1"),
        ("ipv6:%5Bfe80::1%5D:1", "ipv6:%5Bfe80::1%5D:1"),
        ("ipv6:///%5B%3A%3A1%5D", "ipv6:///%5B%3A%3A1%5D:50051"),
        ("ipv4:10.0.0.1:1,", "ipv4:10.0.0.1:1"),
        ("10.0.0.1:1,,10.0.0.2", "ipv4:10.0.0.1:1,10.0.0.2:50051"),
        ("unix:///run/penstock.sock", "unix:///run/penstock.sock"),
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
    "target", ["a:b:c", "host:", ":5", "", "::1", "a,b", "host:x", "[::1", "a b", "a/b", "10.0.0.1,a"]
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


@pytest.mark.parametrize(
    "target",
    [
        "unix:",
        "unix://p.sock",
        "ipv4:agents.internal:1",
        "ipv4:,",
        "ipv4:10.0.0.999:1",
        "ipv4://10.0.0.1:1",
        "ipv4:10.0.0.1:http",
        "ipv6:::1",
        "ipv6:[10.0.0.1]:1",
        "dns:",
        "dns://agents.internal",
        "dns://10.0.0.1/agents.internal",
        "dns:a,b",
        "dns:::1",
    ],
)
def test_a_name_of_grpcs_that_it_cannot_read_is_refused(target: str) -> None:
    """Or each call would fail as if a daemon had refused it."""
    with pytest.raises(ValueError, match="is no target"):
        address(target)
