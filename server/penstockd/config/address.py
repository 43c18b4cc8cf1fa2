"""Where to listen: `HOST:PORT`, `[::1]:PORT` or `unix:PATH`."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstockd.config.errors import Mistake

_TCP: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})", re.ASCII)
_LAST_PORT: Final = 65535
_LONGEST_UNIX_PATH: Final = 107


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; prints as gRPC takes it. Port 0 is one the system chooses."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def with_port(self, port: int) -> "TcpAddress":
        """The same host with the port that the system chose."""
        return TcpAddress(self.host, port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or (_is_ip(self.host) and ipaddress.ip_address(self.host).is_loopback)


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The absolute path of a socket; prints as gRPC takes it."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"

    def with_port(self, port: int) -> "UnixAddress":  # noqa: ARG002 - a socket has none
        """The same socket."""
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: always."""
        return True


Address = TcpAddress | UnixAddress


def parse_address(value: object, base: Path) -> Address:
    """The address a text names; a relative socket path starts at `base`."""
    text = value if isinstance(value, str) else ""
    if text.startswith("unix:") and text != "unix:":
        return _unix(base / text.removeprefix("unix:"))
    match = _TCP.fullmatch(text)
    if match is None:
        raise Mistake("must be HOST:PORT, [IPV6]:PORT or unix:PATH", _meant(str(value)))
    if int(match["port"]) > _LAST_PORT:
        raise Mistake(f"must have a port of at most {_LAST_PORT}")
    if match["v6"] and not _is_ip(match["v6"]):
        raise Mistake("must have an IPv6 address between the brackets")
    return TcpAddress(match["v6"] or match["name"], int(match["port"]))


def anchored(address: str) -> str:
    """The address, with a socket path that starts here and not at the configuration file."""
    scheme, _, path = address.partition(":")
    return f"unix:{Path(path).absolute()}" if scheme == "unix" and path else address


def _unix(path: Path) -> UnixAddress:
    if len(bytes(path)) > _LONGEST_UNIX_PATH:
        raise Mistake(f"must have a socket path of at most {_LONGEST_UNIX_PATH} bytes")
    return UnixAddress(path)


def _meant(text: str) -> str | None:
    port = text.removeprefix("*").removeprefix(":")
    if re.fullmatch(r"\d{1,5}", port, re.ASCII):
        return f"127.0.0.1:{port}" if port == text else f"0.0.0.0:{port}"
    return None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
