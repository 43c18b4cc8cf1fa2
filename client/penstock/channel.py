"""The way to a daemon: where it is, how the connection is secured, and how it spreads over replicas."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc
import grpc.aio

DEFAULT_PORT = 50051

_SCHEMES = ("unix:", "unix-abstract:", "vsock:", "dns:", "ipv4:", "ipv6:", "xds:")
_NUMBERED_SCHEMES = ("dns:", "ipv4:", "ipv6:")
_HAS_PORT = re.compile(r"(?:\[[^\]]+\]|[^:\[\],\s]+):([0-9]+)")
_PORTS = range(1, 65536)
_WHAT_IT_IS = "it is HOST, HOST:PORT, [IPV6]:PORT or unix:PATH, and a PORT is 1 to 65535"
_HOST = re.compile(r"\[[^\]]+\]|[^:\[\],\s]+")
_CERTIFICATE = re.compile(rb"-----BEGIN [A-Z0-9 ]*CERTIFICATE-----")
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_IPV4 = re.compile(r"\d+(\.\d+){3}:[0-9]+")

# Health checking is ignored under the default policy, pick_first. There is no retryPolicy: the daemon is the one layer
# that retries.
_BALANCED: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
_HEALTH_CHECKED = _BALANCED | {"healthCheckConfig": {"serviceName": "penstock.v1.AgentService"}}

_MEBIBYTE = 1024 * 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * _MEBIBYTE),
    ("grpc.max_send_message_length", -1),
    # As often as penstockd allows. The timeout is also the kernel's for unacknowledged bytes, so that calls into a
    # dead connection end soon all the same.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    # gRPC drops trailers over the first limit at random up to the second.
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
]

_File = str | PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """Which PEM files secure the connection: the authority to trust (else the usual ones), and our own identity.

    That identity is a certificate and its key: one without the other is a ValueError.
    """

    ca: _File | None = None
    cert: _File | None = None
    key: _File | None = None

    def __post_init__(self) -> None:
        # gRPC ends the whole process over half a pair.
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together: give both")

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files; raise OSError for one that cannot be read, ValueError for one that holds something else."""
        return grpc.ssl_channel_credentials(
            _read(self.ca, _CERTIFICATE, "certificate"),
            _read(self.key, _PRIVATE_KEY, "private key"),
            _read(self.cert, _CERTIFICATE, "certificate"),
        )


def address(target: str) -> str:
    """Return `target` as gRPC writes it.

    A target is HOST, HOST:PORT, [IPv6]:PORT, unix:PATH, several IPv4:PORT with commas between, or any name of gRPC's
    own. A port is 1 to 65535. Raises ValueError for a URL, and for what is none of these.
    """
    if "://" in target and not target.startswith(_SCHEMES):
        raise ValueError(f"{target!r} is a URL; a target is HOST:PORT or unix:PATH, and TLS is asked for beside it")
    if any(port not in _PORTS for port in _ports(target)):
        raise ValueError(f"{target!r} is no target: {_WHAT_IT_IS}")
    if target.startswith(_SCHEMES) or _HAS_PORT.fullmatch(target):
        return target
    if all(_IPV4.fullmatch(each) for each in target.split(",")):
        return f"ipv4:{target}"
    if not _HOST.fullmatch(target):
        raise ValueError(f"{target!r} is no target: {_WHAT_IT_IS}")
    return f"{target}:{DEFAULT_PORT}"


def open_aio(target: str, tls: TLS | None) -> grpc.aio.Channel:
    """Open a channel on the running event loop; it connects with its first call."""
    options = _options(is_health_checked=True)
    if tls is None:
        return grpc.aio.insecure_channel(target, options)
    return grpc.aio.secure_channel(target, tls.credentials(), options)


def open_sync(target: str, tls: TLS | None, *, is_health_checked: bool = True) -> grpc.Channel:
    """Open a channel for threads; it connects with its first call.

    One that is not health-checked also reaches a daemon that says it is not serving.
    """
    options = _options(is_health_checked=is_health_checked)
    if tls is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, tls.credentials(), options)


def _ports(target: str) -> Iterator[int]:
    """Yield the ports of `target`, of which gRPC would take 65537 for 1; other schemes have none, or their own."""
    scheme = next((each for each in _NUMBERED_SCHEMES if target.startswith(each)), "")
    if not scheme and target.startswith(_SCHEMES):
        return
    for each in target.removeprefix(scheme).rpartition("/")[2].split(","):
        if match := _HAS_PORT.fullmatch(each):
            yield int(match[1])


def _options(*, is_health_checked: bool) -> list[tuple[str, str | int]]:
    config = _HEALTH_CHECKED if is_health_checked else _BALANCED
    return [*_OPTIONS, ("grpc.service_config", json.dumps(config))]


def _read(path: _File | None, mark: re.Pattern[bytes], what: str) -> bytes | None:
    # gRPC would log what is wrong and fail each call with something else, or end the whole process.
    if path is None:
        return None
    content = Path(path).read_bytes()
    if not mark.search(content):
        raise ValueError(f"{path} holds no {what} in PEM")
    return content
