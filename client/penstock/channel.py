"""The way to a daemon: how the connection is secured, and how it spreads over replicas."""

import json

import grpc
import grpc.aio

from penstock.target import address
from penstock.tls import TLS

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
    # The longest between two tries to connect, ±20 %: by gRPC's own, two minutes, a client stays unreachable for up to
    # as long again as the outage was. A thousand clients try five hundred times a second so, which is nothing to a port
    # that is closed, and costs a daemon that is back less than one call of each.
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Where every address that is known drains, the name is looked up again after that long, not after 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    # gRPC drops trailers over the first limit at random up to the second.
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
]


class Way:
    """Opens channels to one daemon, or to its replicas."""

    def __init__(self, target: str, tls: TLS | None) -> None:
        """Read the files of `tls`; raise OSError for one that is not there, ValueError for what cannot be used."""
        self.address = address(target)
        self._name = None if tls is None else tls.name_at(self.address)
        self._credentials = None if tls is None else tls.credentials()

    def open_aio(self) -> grpc.aio.Channel:
        """Open a channel on the running event loop; it connects with its first call."""
        options = self._options(is_health_checked=True)
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.address, options)
        return grpc.aio.secure_channel(self.address, self._credentials, options)

    def open_sync(self, *, is_health_checked: bool = True) -> grpc.Channel:
        """Open a channel for threads; it connects with its first call.

        One that is not health-checked also reaches a daemon that says it is not serving.
        """
        options = self._options(is_health_checked=is_health_checked)
        if self._credentials is None:
            return grpc.insecure_channel(self.address, options)
        return grpc.secure_channel(self.address, self._credentials, options)

    def _options(self, *, is_health_checked: bool) -> list[tuple[str, str | int]]:
        config = _HEALTH_CHECKED if is_health_checked else _BALANCED
        named: list[tuple[str, str | int]] = [] if self._name is None else [("grpc.default_authority", self._name)]
        return [*_OPTIONS, *named, ("grpc.service_config", json.dumps(config))]
