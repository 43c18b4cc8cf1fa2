"""What can go wrong for a caller: one class per reason a client may act on."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import ClassVar, Self

from msgspec import Struct


class Code(IntEnum):
    """The status codes that Penstock uses, by their numbers in google.rpc.Code."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Violation(Struct, frozen=True):
    """One field of a request, or "" for all of it, and what is wrong with it, for people."""

    field: str
    description: str


class Quota(Struct, frozen=True):
    """The limit that a call met: whom it binds, such as "user:acme/u1", and the rule, such as "60/m requests"."""

    subject: str
    rule: str


class PenstockError(Exception):
    """A refusal or failure that a caller is told of; its message is for people and holds no secret.

    `retry_after` is in seconds: None says nothing, a negative value tells clients not to retry at all. `metadata` goes
    into the status's ErrorInfo. `request_id` is what the caller calls a request of which no more could be read.
    A class that names no code and reason of its own is INTERNAL; one that names a message is raised without one, too.
    """

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL"
    message: str

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        quota: Quota | None = None,
        request_id: str = "",
    ) -> None:
        """Say what happened; see the class for what the rest means."""
        said: str | None = getattr(type(self), "message", None) if message is None else message
        if said is None:
            raise TypeError(f"{type(self).__name__} wants a message")
        super().__init__(said)
        self.message = said
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.quota = quota
        self.request_id = request_id

    def __copy__(self) -> Self:
        """Return the same without its traceback, by no constructor: an agent's own class may take what it likes."""
        copied = type(self).__new__(type(self), *self.args)
        # Where it is an OSError as well, that keeps none of them.
        copied.args = self.args
        copied.__dict__ |= self.__dict__
        return copied


class InvalidRequest(PenstockError):
    """The request has a bad field, or its bytes are no request at all."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_REQUEST"


def invalid(*violations: Violation) -> InvalidRequest:
    """The refusal that names each of `violations`, in its message too."""
    summary = "; ".join(f"{violation.field} {violation.description}" for violation in violations)
    return InvalidRequest(summary, violations=violations)


SMALLER = "shorten the input or lower max_output_tokens"
"""What a caller can do whose call is too large: either part may be most of it."""


def too_large(description: str) -> InvalidRequest:
    """The refusal of a call that is larger than it may ever be, as `description` says."""
    description = f"{description}: {SMALLER}"
    violations = [Violation(field, description) for field in ("input", "parameters.max_output_tokens")]
    return InvalidRequest(f"the call is too large: {description}", violations=violations)


class ContextTooLong(PenstockError):
    """The input is too long for every model of the route."""

    code = Code.INVALID_ARGUMENT
    reason = "CONTEXT_TOO_LONG"


class Unauthenticated(PenstockError):
    """The call has no, wrong or doubled credentials.

    One text for every reason: a stranger learns nothing of how near it came.
    """

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"
    message = "the call carries no valid credentials"


class PermissionDenied(PenstockError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class AgentNotFound(PenstockError):
    """There is no agent of that name."""

    code = Code.NOT_FOUND
    reason = "AGENT_NOT_FOUND"


class ModelNotFound(PenstockError):
    """There is no model of that name in the pool."""

    code = Code.NOT_FOUND
    reason = "MODEL_NOT_FOUND"


class RateLimited(PenstockError):
    """The caller is over a rate or a concurrency limit."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"


class BudgetExhausted(PenstockError):
    """The caller's budget is used up for this period."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "BUDGET_EXHAUSTED"


class PriceUnknown(PenstockError):
    """The caller has a budget, and the model's price is not known."""

    code = Code.FAILED_PRECONDITION
    reason = "PRICE_UNKNOWN"


class Overloaded(PenstockError):
    """The daemon has too much in flight."""

    code = Code.UNAVAILABLE
    reason = "OVERLOADED"


class ModelsUnavailable(PenstockError):
    """Every model of the route is open, full or failed."""

    code = Code.UNAVAILABLE
    reason = "MODELS_UNAVAILABLE"


class UpstreamTimeout(PenstockError):
    """The last attempt ran out of the model's own time."""

    code = Code.UNAVAILABLE
    reason = "UPSTREAM_TIMEOUT"


class StreamBroken(PenstockError):
    """The upstream broke after the first text was handed to the caller."""

    code = Code.UNAVAILABLE
    reason = "STREAM_BROKEN"


class UpstreamMisconfigured(PenstockError):
    """Every model rejects our key or account, or does not know its own name."""

    code = Code.INTERNAL
    reason = "UPSTREAM_MISCONFIGURED"


class ContentFiltered(PenstockError):
    """The provider's content filter refused the request or its answer."""

    code = Code.FAILED_PRECONDITION
    reason = "CONTENT_FILTERED"


class UpstreamRejected(PenstockError):
    """The upstream rejects this request, and would again."""

    code = Code.INVALID_ARGUMENT
    reason = "UPSTREAM_REJECTED"


class DeadlineExceeded(PenstockError):
    """The caller's deadline is gone, or too near for an answer."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class AccountingUnavailable(PenstockError):
    """The ledger or the shared store cannot account for a paid call."""

    code = Code.UNAVAILABLE
    reason = "ACCOUNTING_UNAVAILABLE"


class Draining(PenstockError):
    """The daemon is going away."""

    code = Code.UNAVAILABLE
    reason = "DRAINING"


class Internal(PenstockError):
    """Something unforeseen went wrong; the log knows what."""

    code = Code.INTERNAL
    reason = "INTERNAL"
    message = "an internal error; its details are in the server's log"


REASONS = frozenset(each.reason for each in PenstockError.__subclasses__())
"""All that are ours; a class of an agent's own may have another."""
