"""Renders an error as google.rpc.Status, the way every client of Penstock reads it."""

from math import ceil

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from penstockd.errors import PenstockError
from penstockd.messages import duration

DOMAIN = "penstock.dev"
LARGEST_DETAILS = 4096
"""Bytes of status details; gRPC drops trailers at random between 8 and 16 KB."""
LONGEST_MESSAGE = 1024
"""Bytes of a status message, which travels twice: in the details, and percent-encoded beside them."""
LONGEST_DELAY = 31 * 86400.0
"""Seconds that a caller is asked to wait at most."""


def message(error: PenstockError) -> str:
    """The message as it travels: cut where it is too long, the same in both of its places, as clients compare them."""
    return error.message.encode(errors="replace")[:LONGEST_MESSAGE].decode(errors="ignore")


def trailers(error: PenstockError, request_id: str, *, is_partial: bool = False) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata of a call that ends with `error`, `is_partial` after a part of its answer."""
    entries: list[tuple[str, str | bytes]] = [
        ("x-request-id", request_id),
        ("grpc-status-details-bin", _status(error, request_id, is_partial=is_partial).SerializeToString()),
    ]
    delay = _delay(error)
    if delay is not None:
        pushback = -1 if delay < 0 else ceil(round(delay * 1000, 3))
        entries.append(("grpc-retry-pushback-ms", str(pushback)))
    return tuple(entries)


def _status(error: PenstockError, request_id: str, *, is_partial: bool) -> Status:
    """The status with its details, the least important left out where they would grow too large."""
    status = Status(code=error.code.value, message=message(error))
    for detail in _details(error, request_id, is_partial=is_partial):
        packed = Any()
        packed.Pack(detail)
        if status.ByteSize() + packed.ByteSize() < LARGEST_DETAILS:
            status.details.append(packed)
    return status


def _delay(error: PenstockError) -> float | None:
    """The seconds to wait, as many as can be told; not a number is the longest, as is what has no end."""
    delay = error.retry_after
    return delay if delay is None or delay < LONGEST_DELAY else LONGEST_DELAY


def _details(error: PenstockError, request_id: str, *, is_partial: bool) -> list[Message]:
    metadata = {**error.metadata, "partial": "true"} if is_partial else error.metadata
    details: list[Message] = [
        ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata),
        RequestInfo(request_id=request_id),
    ]
    delay = _delay(error)
    if delay is not None and delay >= 0:
        details.append(RetryInfo(retry_delay=duration(delay)))
    if error.quota is not None:
        violation = QuotaFailure.Violation(subject=error.quota.subject, description=error.quota.rule)
        details.append(QuotaFailure(violations=[violation]))
    if error.violations:
        fields = [BadRequest.FieldViolation(field=v.field, description=v.description) for v in error.violations]
        details.append(BadRequest(field_violations=fields))
    return details
