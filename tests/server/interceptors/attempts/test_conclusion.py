"""Each way in which models fail is told to the caller as the contract says."""

import pytest

from penstockd.errors import (
    Code,
    ContentFiltered,
    ContextTooLong,
    DeadlineExceeded,
    InvalidRequest,
    ModelsUnavailable,
    PenstockError,
    StreamBroken,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamTimeout,
)
from penstockd.interceptors.attempts import conclusion
from penstockd.upstream import (
    Broken,
    CoolingDown,
    Filtered,
    Misconfigured,
    OutOfTime,
    QuotaSpent,
    Rejected,
    SlowReader,
    TimedOut,
    ToolCalled,
    TooLong,
    UpstreamFailure,
)

SECRET = "sk-secret"
BROKEN, COOLING, TIMED_OUT, OUT_OF_TIME = Broken(SECRET), CoolingDown(SECRET), TimedOut(SECRET), OutOfTime(SECRET)
MISCONFIGURED, QUOTA, TOO_LONG, FILTERED = Misconfigured(SECRET), QuotaSpent(SECRET), TooLong(SECRET), Filtered(SECRET)
TOOL = ToolCalled(SECRET)
SLOW = SlowReader(SECRET)
REJECTED = Rejected("temperature is out of range")
EVERY = [BROKEN, COOLING, TIMED_OUT, OUT_OF_TIME, MISCONFIGURED, QUOTA, TOO_LONG, FILTERED, TOOL, SLOW, REJECTED]


@pytest.mark.parametrize(
    "failure", [BROKEN, COOLING, TIMED_OUT, OUT_OF_TIME, MISCONFIGURED, QUOTA, TOO_LONG, TOOL], ids=repr
)
def test_before_any_text_another_attempt_may_help(failure: UpstreamFailure) -> None:
    """Another model, or this one later."""
    assert conclusion.of_a_failure(failure, is_committed=False) is None


@pytest.mark.parametrize(("failure", "error"), [(FILTERED, ContentFiltered), (REJECTED, UpstreamRejected)], ids=repr)
def test_what_every_model_would_say_ends_the_call(failure: UpstreamFailure, error: type[PenstockError]) -> None:
    """It is not partial, and no time is named after which it would be different."""
    found = conclusion.of_a_failure(failure, is_committed=False)

    assert type(found) is error
    assert found.metadata == {}
    assert found.retry_after is None


def test_a_rejection_tells_in_the_providers_words() -> None:
    """The caller can mend what it is told."""
    found = conclusion.of_a_failure(REJECTED, is_committed=False)

    assert found is not None
    assert "temperature is out of range" in found.message


@pytest.mark.parametrize("failure", EVERY, ids=repr)
def test_after_the_first_text_the_caller_knows_that_it_has_a_part(failure: UpstreamFailure) -> None:
    """Whatever broke the stream: partial, and the reason where the caller can act on it."""
    special: dict[UpstreamFailure, type[PenstockError]] = {FILTERED: ContentFiltered, OUT_OF_TIME: DeadlineExceeded}

    found = conclusion.of_a_failure(failure, is_committed=True)

    assert type(found) is special.get(failure, StreamBroken)
    assert found.metadata == {"partial": "true"}
    assert found.retry_after is None


@pytest.mark.parametrize(
    ("failures", "unasked", "error"),
    [
        ([], [""], ModelsUnavailable),
        ([], ["reset", ""], ModelsUnavailable),
        ([], ["misconfigured", "reset"], ModelsUnavailable),
        ([], ["misconfigured", "misconfigured"], UpstreamMisconfigured),
        ([BROKEN, COOLING], [], ModelsUnavailable),
        ([BROKEN, TIMED_OUT], [], UpstreamTimeout),
        ([TIMED_OUT, BROKEN], [], ModelsUnavailable),
        ([BROKEN, OUT_OF_TIME], [], DeadlineExceeded),
        ([SLOW], [], ModelsUnavailable),
        ([TOO_LONG, TOO_LONG], [], ContextTooLong),
        ([TOO_LONG], ["reset"], ModelsUnavailable),
        ([TOO_LONG], [""], ModelsUnavailable),
        ([TOO_LONG, BROKEN], [], ModelsUnavailable),
        ([MISCONFIGURED, QUOTA], [], UpstreamMisconfigured),
        ([QUOTA], [], UpstreamMisconfigured),
        ([TOOL], [], ModelsUnavailable),
        ([MISCONFIGURED], ["misconfigured"], UpstreamMisconfigured),
        ([MISCONFIGURED], ["reset"], ModelsUnavailable),
        ([MISCONFIGURED, BROKEN], [], ModelsUnavailable),
    ],
)
def test_the_attempts_and_the_unasked_models_decide_together(
    failures: list[UpstreamFailure], unasked: list[str], error: type[PenstockError]
) -> None:
    """What is said of every model of the route holds for those too that were not asked."""
    found = conclusion.of_all(failures, unasked=unasked, retry_after=3.0)

    assert type(found) is error
    assert found.retry_after == (3.0 if found.code is Code.UNAVAILABLE else None)


@pytest.mark.parametrize("failure", [each for each in EVERY if each is not REJECTED], ids=repr)
@pytest.mark.parametrize("is_committed", [True, False])
def test_an_upstreams_words_stay_in_the_log(failure: UpstreamFailure, *, is_committed: bool) -> None:
    """Only a rejection is meant for the caller."""
    found = conclusion.of_a_failure(failure, is_committed=is_committed) or conclusion.of_all(
        [failure], unasked=[], retry_after=None
    )

    assert SECRET not in found.message


@pytest.mark.parametrize("failures", [[MISCONFIGURED], [QUOTA], [QUOTA, MISCONFIGURED]], ids=repr)
def test_what_only_operators_mend_is_told_as_what_it_may_be(failures: list[UpstreamFailure]) -> None:
    """A key, a name or an account without credit."""
    found = conclusion.of_all(failures, unasked=[], retry_after=None)

    assert found.message == "no model of the route takes our key, its own name or our account; the log says which"


def test_a_call_that_no_model_ever_takes_is_the_callers_mistake() -> None:
    """Both of the fields that make it large are named, and how much would do."""
    found = conclusion.of_a_size(4105, 2000.0)

    assert type(found) is InvalidRequest
    assert [violation.field for violation in found.violations] == ["input", "parameters.max_output_tokens"]
    assert found.message == (
        "the call is too large: the call may take 4105 tokens, but no model of the route is granted more than 2000 at "
        "once: shorten the input or lower max_output_tokens"
    )
    assert all(found.message.endswith(violation.description) for violation in found.violations)
