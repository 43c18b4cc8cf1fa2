"""What can go wrong with one attempt at a model, and what that says about the model and about trying again."""

from enum import StrEnum
from textwrap import shorten
from traceback import format_exception_only
from typing import ClassVar

LONGEST_ACCOUNT = 300
"""Characters of what the log says about one failure."""
PROVIDER_ERROR = "provider_error"
"""The reason of what somebody else's provider does wrong."""
INPUT_REFUSED = "input_refused"
"""The reason of a request that a content filter turned away at the door."""
CONNECT_FAILED = "connect_failed"
CONNECT_TIMEOUT = "connect_timeout"
TLS_FAILED = "tls_failed"
"""Reasons why nothing was sent."""
REDIRECT = "redirect"
SERVER_ERROR = "server_error"
STREAM_ERROR = "stream_error"
"""Reasons of an error in the place of an answer, or of its rest."""


class Blame(StrEnum):
    """What a failure tells the model's circuit breaker."""

    NONE = "none"
    FAILURE = "failure"
    COOLDOWN = "cooldown"
    MISCONFIGURED = "misconfigured"


class UpstreamFailure(Exception):
    """One attempt at one model failed.

    `reason` is a lower_snake_case label for attempts and metrics; the message is for the operator's log, unless the
    failure is the caller's affair: then it may repeat what was asked. `retry_after` is the provider's hint in seconds,
    `may_repeat` whether this same model may be asked again for this call.
    """

    blame: ClassVar[Blame]
    is_callers_affair: ClassVar[bool] = False
    reason: str
    may_repeat: bool = False

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        retry_after: float | None = None,
        may_repeat: bool | None = None,
    ) -> None:
        """Say what happened; what is left out is the class's."""
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        if reason is not None:
            self.reason = reason
        if may_repeat is not None:
            self.may_repeat = may_repeat

    @property
    def account(self) -> str:
        """What happened, on one short line; of what somebody else's provider raised, its type and text."""
        cause = self.__cause__ if self.reason == PROVIDER_ERROR else None
        # Unlike str(), this also shows an exception that cannot be shown.
        text = "".join(format_exception_only(cause)) if cause else self.message
        shown = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST_ACCOUNT])
        # Cut between words: a secret of which a part is left would not be known for one.
        return shorten(shown, LONGEST_ACCOUNT, break_long_words=False, break_on_hyphens=False, placeholder=" …")


class Broken(UpstreamFailure):
    """The upstream did not answer, or answered with an error of its own or with something that is no answer."""

    blame = Blame.FAILURE
    reason = "broken"
    may_repeat = True


class TimedOut(UpstreamFailure):
    """The upstream exceeded one of the model's own timeouts."""

    blame = Blame.FAILURE
    reason = "timeout"
    may_repeat = True


class OutOfTime(UpstreamFailure):
    """The caller's deadline left the attempt no more time; nobody's fault."""

    blame = Blame.NONE
    is_callers_affair = True
    reason = "deadline"


class SlowReader(UpstreamFailure):
    """The model's own time was up while its caller had yet to take what it said; not the model's fault."""

    blame = Blame.NONE
    is_callers_affair = True
    reason = "slow_reader"


class CoolingDown(UpstreamFailure):
    """The provider asks for patience (429)."""

    blame = Blame.COOLDOWN
    reason = "rate_limited"
    may_repeat = True


class Misconfigured(UpstreamFailure):
    """The provider rejects our key, or does not know the model."""

    blame = Blame.MISCONFIGURED
    reason = "misconfigured"


class Blocked(UpstreamFailure):
    """It is forbidden without a reason, maybe by somebody in between: no verdict on our key, and another may answer."""

    blame = Blame.NONE
    reason = "blocked"


class QuotaSpent(UpstreamFailure):
    """Our account at the provider is out of credit: no retry helps this call, another model may."""

    blame = Blame.NONE
    reason = "insufficient_quota"


class TooLong(UpstreamFailure):
    """This model cannot take an input of this size; another may."""

    blame = Blame.NONE
    is_callers_affair = True
    reason = "context_too_long"


class Rejected(UpstreamFailure):
    """The upstream rejects the request, as every other would; its message is meant for the caller."""

    blame = Blame.NONE
    is_callers_affair = True
    reason = "rejected"


class Filtered(UpstreamFailure):
    """The provider's content filter stopped the request or its answer.

    Its reason is INPUT_REFUSED where no model was asked, which costs nothing.
    """

    blame = Blame.NONE
    is_callers_affair = True
    reason = "content_filter"


class ToolCalled(UpstreamFailure):
    """The model asked for a tool, and none was offered: it is well, and would ask again; another may answer."""

    blame = Blame.NONE
    reason = "tool_call"


class PassedOver(UpstreamFailure):
    """The model takes no call just now; nothing was sent, so this is no attempt."""

    blame = Blame.NONE
    reason = "passed_over"


UNBILLED = frozenset(
    {
        CONNECT_FAILED,
        CONNECT_TIMEOUT,
        TLS_FAILED,
        REDIRECT,
        SERVER_ERROR,
        STREAM_ERROR,
        INPUT_REFUSED,
        *(kind.reason for kind in (CoolingDown, QuotaSpent, TooLong, Misconfigured, Blocked, Rejected)),
    }
)
"""Reasons for which no provider bills an attempt of which nothing was heard and nothing counted."""
