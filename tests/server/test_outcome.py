"""A call's outcome sums up what its attempts came to."""

from penstockd.outcome import Attempt, Outcome
from penstockd.usage import Usage

SOME = Usage(uncached_input=1, cached_input=2, cache_write_input=3, output=4, reasoning=1)
MORE = Usage(uncached_input=10, output=40)


def attempt(usage: Usage, *, is_complete: bool = True, cost: int | None = 5, is_estimated: bool = False) -> Attempt:
    """An attempt that used this."""
    return Attempt(
        model="a",
        started_at=0.0,
        usage=usage,
        is_complete=is_complete,
        cost_nanousd=cost,
        is_estimated=is_estimated,
    )


def test_usage_is_that_of_completed_model_calls() -> None:
    """What a cut attempt used is billed, but is not part of the answer."""
    outcome = Outcome(attempts=[attempt(SOME), attempt(SOME, is_complete=False), attempt(MORE)])

    assert outcome.usage == SOME + MORE
    assert (outcome.usage.input, outcome.usage.output, outcome.usage.total) == (16, 44, 60)
    assert Outcome().usage == Usage()
    assert Outcome(attempts=[attempt(SOME)]).usage is SOME


def test_the_cost_is_that_of_all_attempts() -> None:
    """Cut ones too."""
    assert Outcome(attempts=[attempt(SOME), attempt(SOME, is_complete=False)]).cost_nanousd == 10
    assert Outcome().cost_nanousd == 0


def test_one_unknown_price_makes_the_cost_unknown() -> None:
    """A sum of what is known would be a lie."""
    assert Outcome(attempts=[attempt(SOME), attempt(SOME, cost=None)]).cost_nanousd is None


def test_one_estimate_makes_the_cost_an_estimate() -> None:
    """And none does not."""
    assert Outcome(attempts=[attempt(SOME), attempt(SOME, is_estimated=True)]).is_estimated
    assert not Outcome(attempts=[attempt(SOME)]).is_estimated
