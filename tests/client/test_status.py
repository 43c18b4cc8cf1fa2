"""A failed RPC becomes the exception that says why."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, QuotaFailure, RequestInfo, RetryInfo
from grpc import StatusCode

from fakes.daemon import Ask, FakeDaemon, Refusal
from penstock import (
    BudgetExhausted,
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    Overloaded,
    PenstockError,
    Quota,
    RateLimited,
    SyncAgentClient,
    Unauthenticated,
    Unreachable,
    Violation,
)
from penstock.status import to_seconds


def refused(daemon: FakeDaemon, refusal: grpc.Status) -> PenstockError:
    """Return the exception of a call that is refused so."""

    def behave(request: Ask, context: grpc.ServicerContext) -> Iterator[str]:
        context.abort_with_status(refusal)

    daemon.behave = behave
    with SyncAgentClient(daemon.target) as client, pytest.raises(PenstockError) as caught:
        client.process("hello", request_id="mine")
    return caught.value


def foreign(daemon: FakeDaemon, code: StatusCode, message: str = "no") -> PenstockError:
    """Return the exception of a call that something other than Penstock refuses."""
    refusal = Refusal(code, "", message)
    refusal.trailing_metadata = ()
    return refused(daemon, refusal)


def test_the_class_is_the_reason_and_nothing_is_lost(daemon: FakeDaemon) -> None:
    """Code, reason, message, delay, request id, metadata and quota all arrive."""
    retry = RetryInfo(retry_delay=Duration(seconds=1, nanos=250_000_000))
    quota = QuotaFailure(violations=[QuotaFailure.Violation(subject="user:acme/u1", description="60/m requests")])

    error = refused(
        daemon,
        Refusal(
            StatusCode.RESOURCE_EXHAUSTED,
            "RATE_LIMITED",
            "slow down",
            RequestInfo(request_id="theirs"),
            retry,
            quota,
            metadata={"limit": "60"},
            trailers=(("grpc-retry-pushback-ms", "9000"),),
        ),
    )

    assert type(error) is RateLimited
    assert (error.code, error.reason, str(error)) == (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", "slow down")
    assert error.retry_after == 1.25
    assert error.request_id == "theirs"
    assert error.metadata == {"limit": "60"}
    assert error.quota == Quota("user:acme/u1", "60/m requests")
    assert error.violations == ()


def test_the_fields_of_a_bad_request_are_named(daemon: FakeDaemon) -> None:
    """Each violation keeps its field and description."""
    fields = BadRequest(field_violations=[BadRequest.FieldViolation(field="input", description="is empty")])

    error = refused(daemon, Refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "bad field", fields))

    assert type(error) is InvalidRequest
    assert error.violations == (Violation("input", "is empty"),)
    assert error.quota is None


@pytest.mark.parametrize(("pushback", "expected"), [("150", 0.15), ("-1", None), ("soon", None)])
def test_pushback_speaks_where_there_is_no_retry_info(
    daemon: FakeDaemon, pushback: str, expected: float | None
) -> None:
    """A negative pushback forbids another try, so there is no delay to wait."""
    trailers = (("grpc-retry-pushback-ms", pushback),)

    error = refused(daemon, Refusal(StatusCode.UNAVAILABLE, "OVERLOADED", "busy", trailers=trailers))

    assert type(error) is Overloaded
    assert error.retry_after == expected


def test_a_budget_says_not_to_try_again(daemon: FakeDaemon) -> None:
    """The reset time is metadata; a delay is not suggested."""
    trailers = (("grpc-retry-pushback-ms", "-1"),)

    error = refused(
        daemon,
        Refusal(
            StatusCode.RESOURCE_EXHAUSTED,
            "BUDGET_EXHAUSTED",
            "spent",
            metadata={"reset_time": "2027-01-01T00:00:00Z"},
            trailers=trailers,
        ),
    )

    assert type(error) is BudgetExhausted
    assert error.retry_after is None
    assert error.metadata == {"reset_time": "2027-01-01T00:00:00Z"}


def test_a_reason_from_a_newer_server_falls_back_to_its_code_and_is_kept(daemon: FakeDaemon) -> None:
    """An old client still catches by class, and can read the new reason."""
    error = refused(daemon, Refusal(StatusCode.UNAUTHENTICATED, "KEY_REVOKED", "revoked"))

    assert type(error) is Unauthenticated
    assert error.reason == "KEY_REVOKED"


def test_a_reason_of_another_domain_is_not_ours(daemon: FakeDaemon) -> None:
    """A proxy's RATE_LIMITED is judged by its code alone."""
    error = refused(daemon, Refusal(StatusCode.UNAVAILABLE, "RATE_LIMITED", "no", domain="example.com"))

    assert type(error) is Unreachable
    assert error.reason == "UNREACHABLE"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (StatusCode.UNAVAILABLE, Unreachable, "UNREACHABLE"),
        (StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (StatusCode.INTERNAL, Internal, "INTERNAL"),
        (StatusCode.RESOURCE_EXHAUSTED, RateLimited, "RATE_LIMITED"),
        (StatusCode.NOT_FOUND, PenstockError, "NOT_FOUND"),
        (StatusCode.UNKNOWN, PenstockError, "UNKNOWN"),
    ],
)
def test_a_status_without_details_is_judged_by_its_code(
    daemon: FakeDaemon, code: StatusCode, kind: type[PenstockError], reason: str
) -> None:
    """What gRPC or a proxy refuses is still an exception of ours, under the request id that was sent."""
    error = foreign(daemon, code)

    assert type(error) is kind
    assert (error.code, error.reason, error.message) == (code, reason, "no")
    assert error.request_id == "mine"
    assert error.retry_after is None


def test_a_message_over_the_limit_is_no_rate_limit(daemon: FakeDaemon) -> None:
    """Trying again would never help."""
    error = foreign(daemon, StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)")

    assert type(error) is InvalidRequest


def test_metadata_over_the_limit_are_no_rate_limit() -> None:
    """As gRPC's own words say; they are sent before any daemon of ours sees the call."""
    server = grpc.server(ThreadPoolExecutor(1), options=(("grpc.max_metadata_size", 8192),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    with SyncAgentClient(f"127.0.0.1:{port}", api_key="k" * 20_000) as client, pytest.raises(InvalidRequest) as caught:
        client.process("hello")

    assert "metadata" in caught.value.message
    server.stop(None)


def test_malformed_details_are_no_details(daemon: FakeDaemon) -> None:
    """Bytes that are no status fall back to the code."""
    refusal = Refusal(StatusCode.INTERNAL, "", "broken")
    refusal.trailing_metadata = (("grpc-status-details-bin", b"\xff\xff\xff"),)

    error = refused(daemon, refusal)

    assert type(error) is Internal
    assert error.message == "broken"


def test_a_status_without_a_message_is_called_by_its_code(daemon: FakeDaemon) -> None:
    """There is always something to print."""
    assert foreign(daemon, StatusCode.ABORTED, "").message == "ABORTED"


def test_a_duration_comes_from_the_wire() -> None:
    """Seconds and nanoseconds add up."""
    assert to_seconds(Duration(seconds=2, nanos=500_000_000)) == 2.5
