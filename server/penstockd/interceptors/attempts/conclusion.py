"""What failed attempts mean for the caller."""

from collections.abc import Sequence

from penstockd.errors import (
    ContentFiltered,
    ContextTooLong,
    DeadlineExceeded,
    ModelsUnavailable,
    PenstockError,
    StreamBroken,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamTimeout,
    too_large,
)
from penstockd.upstream import (
    Filtered,
    Misconfigured,
    OutOfTime,
    QuotaSpent,
    Rejected,
    TimedOut,
    TooLong,
    UpstreamFailure,
)

_PARTIAL = {"partial": "true"}


def of_a_failure(failure: UpstreamFailure, *, is_committed: bool) -> PenstockError | None:
    """The error with which this failure ends the call at once, or None if another attempt may help."""
    metadata = _PARTIAL if is_committed else None
    match failure:
        case Filtered():
            return ContentFiltered("the provider's content filter stopped this", metadata=metadata)
        case OutOfTime() if is_committed:
            return DeadlineExceeded("the deadline came before the end of the answer", metadata=metadata)
        case _ if is_committed:
            return StreamBroken(f"the answer broke off: {failure.reason}", metadata=metadata)
        case Rejected():
            return UpstreamRejected(f"the model's provider rejects this request: {failure.message}")
        case _:
            return None


def of_all(failures: Sequence[UpstreamFailure], *, unasked: Sequence[str], retry_after: float | None) -> PenstockError:
    """The error for a call that no model answered.

    `failures` are its attempts', oldest first; `unasked` are the causes for which the circuits of the models that it
    never asked are open, empty where they are not; `retry_after` is when the soonest model may be back, in seconds.
    """
    if not unasked and all(isinstance(failure, TooLong) for failure in failures):
        return ContextTooLong("the input is too long for every model of the route")
    ours = all(isinstance(failure, Misconfigured | QuotaSpent) for failure in failures)
    if ours and all(cause == Misconfigured.reason for cause in unasked):
        return UpstreamMisconfigured(
            "no model of the route takes our key, its own name or our account; the log says which"
        )
    if not failures:
        return ModelsUnavailable("no model of the route takes calls just now", retry_after=retry_after)
    return _of_the_last(failures[-1], retry_after)


def of_a_size(tokens: int, most: float) -> PenstockError:
    """The error for a call that may take more `tokens` than any model's provider ever grants at once."""
    return too_large(
        f"the call may take {tokens} tokens, but no model of the route is granted more than {most:.0f} at once"
    )


def _of_the_last(failure: UpstreamFailure, retry_after: float | None) -> PenstockError:
    match failure:
        case OutOfTime():
            return DeadlineExceeded("the deadline left the models no more time")
        case TimedOut():
            return UpstreamTimeout("the last model asked did not answer in its time", retry_after=retry_after)
        case _:
            return ModelsUnavailable(
                f"every model asked failed; the last one: {failure.reason}", retry_after=retry_after
            )
