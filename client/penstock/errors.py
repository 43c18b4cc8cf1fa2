"""What can go wrong with a call: one exception per reason that a caller may act on, named as the server names it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grpc import StatusCode


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request and what is wrong with it, for people."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Quota:
    """The limit that a call met: whom it binds, such as "user:acme/u1", and the rule, such as "60/m requests"."""

    subject: str
    rule: str


class PenstockError(Exception):
    """A call that was refused or failed; itself raised only where no class below fits.

    `retry_after` is in seconds: None means that no delay was named, or that the server asked not to try again.
    `metadata` is what the status's ErrorInfo holds, and `partial` where a part of a stream had come.
    """

    code: StatusCode = StatusCode.UNKNOWN
    reason: str = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        code: StatusCode | None = None,
        reason: str = "",
        retry_after: float | None = None,
        request_id: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        quota: Quota | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.reason = reason or self.reason
        self.retry_after = retry_after
        self.request_id = request_id
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.quota = quota


class Unreachable(PenstockError):
    """No daemon answered: nobody listens at the target, every replica drains, or the connection broke."""

    code = StatusCode.UNAVAILABLE
    reason = "UNREACHABLE"


class InvalidRequest(PenstockError):
    """The request has a bad field, or its bytes are no request at all."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_REQUEST"


class ContextTooLong(PenstockError):
    """The input is too long for every model of the route."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "CONTEXT_TOO_LONG"


class Unauthenticated(PenstockError):
    """The call has no, wrong or doubled credentials."""

    code = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(PenstockError):
    """The caller is known and may not do this."""

    code = StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class AgentNotFound(PenstockError):
    """There is no agent of that name."""

    code = StatusCode.NOT_FOUND
    reason = "AGENT_NOT_FOUND"


class ModelNotFound(PenstockError):
    """There is no model of that name in the pool."""

    code = StatusCode.NOT_FOUND
    reason = "MODEL_NOT_FOUND"


class RateLimited(PenstockError):
    """The caller is over a rate or a concurrency limit."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"


class BudgetExhausted(PenstockError):
    """The caller's budget is used up for this period."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "BUDGET_EXHAUSTED"


class PriceUnknown(PenstockError):
    """The caller has a budget, and the model's price is not known."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "PRICE_UNKNOWN"


class Overloaded(PenstockError):
    """The daemon has too much in flight."""

    code = StatusCode.UNAVAILABLE
    reason = "OVERLOADED"


class ModelsUnavailable(PenstockError):
    """Every model of the route is open, full or failed."""

    code = StatusCode.UNAVAILABLE
    reason = "MODELS_UNAVAILABLE"


class UpstreamTimeout(PenstockError):
    """The last attempt ran out of the model's own time."""

    code = StatusCode.UNAVAILABLE
    reason = "UPSTREAM_TIMEOUT"


class StreamBroken(PenstockError):
    """The upstream broke after the first text was handed to the caller."""

    code = StatusCode.UNAVAILABLE
    reason = "STREAM_BROKEN"


class UpstreamMisconfigured(PenstockError):
    """Every model rejects the daemon's key or does not know its model name."""

    code = StatusCode.INTERNAL
    reason = "UPSTREAM_MISCONFIGURED"


class ContentFiltered(PenstockError):
    """The provider's content filter refused the request or its answer."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "CONTENT_FILTERED"


class UpstreamRejected(PenstockError):
    """The upstream rejects this request, and would again."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "UPSTREAM_REJECTED"


class DeadlineExceeded(PenstockError):
    """The caller's deadline is gone, or too near for an answer."""

    code = StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class AccountingUnavailable(PenstockError):
    """The ledger or the shared store cannot account for a paid call."""

    code = StatusCode.UNAVAILABLE
    reason = "ACCOUNTING_UNAVAILABLE"


class Draining(PenstockError):
    """The daemon is going away."""

    code = StatusCode.UNAVAILABLE
    reason = "DRAINING"


class Unimplemented(PenstockError):
    """The method exists in the contract and not yet in this daemon."""

    code = StatusCode.UNIMPLEMENTED
    reason = "UNIMPLEMENTED"


class Internal(PenstockError):
    """Something unforeseen went wrong; the log knows what."""

    code = StatusCode.INTERNAL
    reason = "INTERNAL"


SERVER_ERRORS: Mapping[str, type[PenstockError]] = {
    kind.reason: kind for kind in PenstockError.__subclasses__() if kind not in (Unimplemented, Unreachable)
}
"""The class of each reason that a server may give."""
