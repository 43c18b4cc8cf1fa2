"""`penstock health`: asks whether the daemon is serving, with the exit codes of grpc-health-probe."""

import json
from argparse import Namespace

from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from grpc import StatusCode

from penstock.cli import daemon, terminal
from penstock.connection import Connection
from penstock.errors import PenstockError, Unreachable

SERVING, CANNOT_CONNECT, RPC_FAILED, NOT_SERVING = 0, 2, 3, 4

_STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def run(chosen: Namespace) -> int:
    """Print the status of one service, or of the daemon."""
    try:
        status = _check(daemon.connection(chosen), chosen.service)
    except PenstockError as error:
        terminal.complain(_explanation(error, chosen.service))
        return CANNOT_CONNECT if isinstance(error, Unreachable) else RPC_FAILED
    print(json.dumps({"service": chosen.service, "status": status}) if chosen.json else status)
    return SERVING if status == "SERVING" else NOT_SERVING


def _explanation(error: PenstockError, service: str) -> str:
    if error.code is StatusCode.NOT_FOUND:
        return f"NOT_FOUND: there is no service {service!r}; try liveness, or model/NAME"
    return terminal.describe(error)


def _check(connection: Connection, service: str) -> str:
    # HealthCheckRequest and HealthCheckResponse have one field each, and on the wire they are these wrappers; so the
    # client needs no package for them.
    call = connection.call(StringValue(value=service), None)
    with connection.way.open_sync(is_health_checked=False) as channel, call.errors():
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", StringValue.SerializeToString, Int32Value.FromString
        )
        status = check(call.request, timeout=call.timeout, metadata=call.metadata)
    return _STATUS.get(status.value, str(status.value))
