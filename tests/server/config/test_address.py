"""Addresses are read strictly and know whether strangers can reach them."""

from pathlib import Path

import pytest

from penstockd.config.address import TcpAddress, UnixAddress, parse_address
from penstockd.config.errors import Mistake

BASE = Path("/etc/penstock")


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("127.0.0.1:50051", TcpAddress("127.0.0.1", 50051), True),
        ("localhost:0", TcpAddress("localhost", 0), True),
        ("[::1]:9464", TcpAddress("::1", 9464), True),
        ("[::]:1", TcpAddress("::", 1), False),
        ("0.0.0.0:1", TcpAddress("0.0.0.0", 1), False),  # noqa: S104
        ("penstock.internal:1", TcpAddress("penstock.internal", 1), False),
        ("unix:/run/p.sock", UnixAddress(Path("/run/p.sock")), True),
    ],
)
def test_an_address_prints_as_it_was_written(text: str, address: object, is_loopback: bool) -> None:  # noqa: FBT001
    """Nothing is lost between the file and the listener."""
    parsed = parse_address(text, BASE)

    assert parsed == address
    assert str(parsed) == text
    assert parsed.is_loopback == is_loopback


def test_a_relative_socket_starts_at_the_base() -> None:
    """Where the daemon is started from does not matter."""
    assert parse_address("unix:run/p.sock", BASE) == UnixAddress(BASE / "run/p.sock")


def test_an_address_takes_the_port_that_the_system_chose() -> None:
    """A socket has none to take."""
    assert str(parse_address("[::1]:0", BASE).with_port(7)) == "[::1]:7"
    assert str(parse_address("unix:/s", BASE).with_port(7)) == "unix:/s"


@pytest.mark.parametrize(
    ("value", "message", "suggestion"),
    [
        (":50051", "must be HOST:PORT", "0.0.0.0:50051"),
        ("*:50051", "must be HOST:PORT", "0.0.0.0:50051"),
        (50051, "must be HOST:PORT", "127.0.0.1:50051"),
        ("localhost", "must be HOST:PORT", None),
        ("::1:50051", "must be HOST:PORT", None),
        ("unix:", "must be HOST:PORT", None),
        ("h:65536", "at most 65535", None),
        ("[1:2]:50051", "an IPv6 address", None),
        ("unix:/" + "x" * 107, "at most 107 bytes", None),
    ],
)
def test_what_is_no_address_is_refused(value: object, message: str, suggestion: str | None) -> None:
    """A listener that could not start is found before it tries."""
    with pytest.raises(Mistake, match=message) as raised:
        parse_address(value, BASE)

    assert raised.value.suggestion == suggestion
