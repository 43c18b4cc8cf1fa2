"""What a denial means to the caller, and to operators."""

from math import inf

import pytest

from fakes.demands import USD, budget, lease, rate
from fakes.telescope import Telescope
from penstockd.errors import BudgetExhausted, InvalidRequest, Quota, RateLimited
from penstockd.interceptors.denials import Denials, refusal
from penstockd.limits import Demand, Denial, Verdict


def denial(demand: Demand, retry_after: float) -> Denial:
    """A denial of this demand."""
    return Denial(demand=demand, retry_after=retry_after)


@pytest.mark.parametrize(
    ("denied", "quota"),
    [
        (denial(rate(per_second=2.0), 1.5), Quota("user:acme/u1", "2/s requests")),
        (denial(lease(8), 0.25), Quota("tenant:acme", "8 concurrent requests")),
    ],
)
def test_over_a_rate_or_a_concurrency_limit(denied: Denial, quota: Quota) -> None:
    """It names subject and rule, and when to come back."""
    error = refusal(denied)

    assert isinstance(error, RateLimited)
    assert (error.quota, error.retry_after) == (quota, denied.retry_after)
    assert quota.rule in error.message


def test_a_call_that_never_fits_is_the_callers_mistake() -> None:
    """It names the field to lower."""
    error = refusal(denial(rate(5000, burst=1000), inf))

    assert isinstance(error, InvalidRequest)
    assert [violation.field for violation in error.violations] == ["parameters.max_output_tokens"]
    assert "5000" in error.message
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("resets_at", "metadata"), [(1_767_225_600.0, {"reset_time": "2026-01-01T00:00:00Z"}), (None, {})]
)
def test_a_budget_that_is_used_up_says_when_the_next_begins(resets_at: float | None, metadata: dict[str, str]) -> None:
    """And not to retry before: clients' own retries would be a long wait."""
    error = refusal(denial(budget(1, 2 * USD, resets_at=resets_at), inf))

    assert isinstance(error, BudgetExhausted)
    assert (error.retry_after, error.metadata) == (-1, metadata)
    assert error.quota == Quota("tenant:acme", "2 USD in total")


def test_denials_and_shadows_are_counted_by_tenant_and_rule() -> None:
    """No label tells of users."""
    telescope = Telescope()
    denials = Denials(telescope.meter)

    denials.judge(Verdict())
    denials.judge(Verdict(shadows=(denial(rate(is_shadow=True), 1.0),)))
    with pytest.raises(RateLimited):
        denials.judge(Verdict(denial=denial(lease(), 0.1)))

    counted = {tuple(attributes.values()): value for attributes, value in telescope.points("penstock.limit.denials")}
    assert counted == {
        ("acme", "user", "1/s requests", True): 1,
        ("acme", "tenant", "1 concurrent requests", False): 1,
    }
