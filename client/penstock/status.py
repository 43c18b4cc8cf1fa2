"""From a failed RPC to the exception that says why."""

import re
from collections.abc import Iterable
from typing import TypeVar, cast

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from penstock import errors
from penstock.errors import PenstockError, Quota, Violation

DOMAIN = "penstock.dev"

# What a status means that no Penstock daemon explained: gRPC itself and proxies send these.
_BY_CODE: dict[StatusCode, type[PenstockError]] = {
    StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    StatusCode.RESOURCE_EXHAUSTED: errors.RateLimited,
    StatusCode.UNIMPLEMENTED: errors.Unimplemented,
    StatusCode.INTERNAL: errors.Internal,
    StatusCode.UNAVAILABLE: errors.Unreachable,
    StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
}

# gRPC's words for what kept it from a daemon, where they leave a person with nothing to do.
_HINTS = (
    # Replicas that were reached and whose health, which our channels watch, says NOT_SERVING.
    (re.compile("backend unhealthy$"), "no replica is serving: each one drains, starts or is not ready"),
    # Whoever refuses our side of a handshake says no more to us than that.
    (
        re.compile("last error: .*Socket closed$"),
        "the connection is closed as it begins: does the port speak TLS, or want another certificate of ours?",
    ),
    (re.compile("WRONG_VERSION_NUMBER"), "the port speaks no TLS"),
    (
        re.compile("Hostname Verification Check failed"),
        "the certificate names another host than the target's: server_name says which it should",
    ),
)

_TOO_LARGE = ("message larger than max", "metadata size exceeds")

_Trailers = dict[str, str | bytes]
_Detail = TypeVar("_Detail", bound=Message)


def translate(error: grpc.RpcError, *, request_id: str) -> PenstockError:
    """Return the exception of a failed RPC: by its ErrorInfo, else by its status code.

    `request_id` is the one that was sent, for a status that names none.
    """
    trailers: _Trailers = dict(cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ()))
    message = _in_our_words(error.details() or error.code().name)
    try:
        return _explained(error.code(), message, _status(trailers), trailers, request_id)
    except DecodeError:
        return _explained(error.code(), message, Status(), trailers, request_id)


def to_seconds(duration: Duration) -> float:
    """Return a protobuf duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def _explained(code: StatusCode, message: str, status: Status, trailers: _Trailers, request_id: str) -> PenstockError:
    info = _detail(status, ErrorInfo)
    reason = info.reason if info.domain == DOMAIN else ""
    kind = errors.SERVER_ERRORS.get(reason) or _kind_of(code, message)
    return kind(
        message,
        code=code,
        reason=reason or ("" if kind is not PenstockError else code.name),
        retry_after=_retry_after(status, trailers),
        request_id=_detail(status, RequestInfo).request_id or request_id,
        metadata=info.metadata,
        violations=[Violation(each.field, each.description) for each in _detail(status, BadRequest).field_violations],
        quota=_quota(_detail(status, QuotaFailure)),
    )


def _in_our_words(message: str) -> str:
    for theirs, ours in _HINTS:
        if theirs.search(message):
            return f"{ours} ({message})"
    return message


def _kind_of(code: StatusCode, message: str) -> type[PenstockError]:
    # gRPC refuses what is over the receiver's limits with the code of a rate limit, yet trying again never helps.
    if code is StatusCode.RESOURCE_EXHAUSTED and any(words in message for words in _TOO_LARGE):
        return errors.InvalidRequest
    return _BY_CODE.get(code, PenstockError)


def _status(trailers: _Trailers) -> Status:
    value = trailers.get("grpc-status-details-bin", b"")
    return Status.FromString(value if isinstance(value, bytes) else value.encode())


def _detail(status: Status, kind: type[_Detail]) -> _Detail:
    """Return the status's detail of that kind, or an empty one."""
    found = kind()
    for detail in status.details:
        if detail.Unpack(found):
            break
    return found


def _retry_after(status: Status, trailers: _Trailers) -> float | None:
    retry = _detail(status, RetryInfo)
    if retry.HasField("retry_delay"):
        return to_seconds(retry.retry_delay)
    pushback = str(trailers.get("grpc-retry-pushback-ms", ""))
    return int(pushback) / 1000 if pushback.isdecimal() else None


def _quota(failure: QuotaFailure) -> Quota | None:
    for violation in failure.violations:
        return Quota(violation.subject, violation.description)
    return None
