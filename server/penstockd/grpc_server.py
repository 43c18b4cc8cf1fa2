"""Makes gRPC servers that withstand the network they are put on."""

from collections.abc import Sequence

import grpc

MAX_METADATA = 2 * 1024 * 1024
"""Bytes of metadata a call may carry; more is refused, never at random.

Far above what anybody needs, so that a credential of whatever size is told the same as any other that is wrong. A call
may carry more than that in its message, which also arrives before anybody knows whose it is.
"""
MAX_CONNECTION_AGE = 30 * 60.0
"""Seconds after which clients are sent to reconnect, so that load spreads over replicas; gRPC adds ±10 %."""

LONGEST_GRACE = 86400.0
"""Seconds in which calls may end after that: `server.max_call`, which a reload may raise, ends them long before."""


def grpc_server(
    *,
    handlers: Sequence[grpc.GenericRpcHandler],
    max_message: int,
    max_streams: int,
    grace: float = LONGEST_GRACE,
) -> grpc.aio.Server:
    """Return a server of `handlers`, to which more may be added.

    `max_message` is in bytes, `max_streams` per connection, `grace` in seconds.
    """
    return grpc.aio.server(
        handlers=handlers,
        options=(
            # A second daemon on the same port must fail, not take half of the traffic.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", max_message),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", max_streams),
            ("grpc.max_metadata_size", MAX_METADATA),
            ("grpc.absolute_max_metadata_size", MAX_METADATA),
            ("grpc.server_handshake_timeout_ms", 10_000),
            ("grpc.max_connection_age_ms", _milliseconds(MAX_CONNECTION_AGE)),
            ("grpc.max_connection_age_grace_ms", _milliseconds(grace)),
            # Keepalive alone does not notice a frozen client; the ping timeout does.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.ping_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ),
    )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
