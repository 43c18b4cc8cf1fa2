"""What a denial means to the caller, and to operators."""

import sys
from math import inf

import pytest
from msgspec.structs import replace

from fakes.demands import ONE, USD, budget, lease, rate
from fakes.telescope import Telescope
from penstockd.errors import BudgetExhausted, InvalidRequest, Quota, RateLimited, Violation
from penstockd.interceptors.accounting.denials import KEPT, Denials, refusal
from penstockd.limits import Amounts, BudgetDemand, Demand, Denial, LeaseDemand, RateDemand, Verdict
from penstockd.metrics.instruments import MOST_SERIES
from penstockd.metrics.tenant_labels import BUSY_USES, FIRST, TenantLabels


def denial(demand: Demand, retry_after: float, left: int | None = None, *, asked: Amounts = ONE) -> Denial:
    """A denial of this demand."""
    return Denial(demand=demand, asked=asked, retry_after=retry_after, left=left)


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


@pytest.mark.parametrize(
    ("subject", "whom"),
    [
        ("user:acme/", "user:acme/ (calls without a user_id)"),
        ("key:acme/", "key:acme/ (calls without a key)"),
        ("user:acme/u1/", "user:acme/u1/"),
        ("tenant:acme", "tenant:acme"),
    ],
)
def test_callers_without_a_name_are_told_what_they_lack(subject: str, whom: str) -> None:
    """They are counted together, which nobody guesses from a name that ends early; programs read what they did."""
    limited = refusal(denial(replace(lease(8), subject=subject), 0.25))
    spent = refusal(denial(replace(budget(2 * USD), subject=subject), inf, left=0))

    assert limited.message == f"{whom} is over its limit of 8 concurrent requests"
    assert spent.message == f"the budget of {whom}, 2 USD in total, is used up"
    assert limited.quota == Quota(subject, "8 concurrent requests")


def test_a_call_that_never_fits_is_the_callers_mistake() -> None:
    """It names both that make it large, and what to do about them: the input alone may be too much."""
    error = refusal(denial(rate(burst=1000), inf, asked=Amounts(of_rates=5000)))

    assert isinstance(error, InvalidRequest)
    description = (
        "the call may take 5000, but 1/s requests allow 1000 at once: shorten the input or lower max_output_tokens"
    )
    assert error.violations == (
        Violation("input", description),
        Violation("parameters.max_output_tokens", description),
    )
    assert description in error.message
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("resets_at", "metadata"), [(1_767_225_600.0, {"reset_time": "2026-01-01T00:00:00Z"}), (None, {})]
)
def test_a_budget_that_is_used_up_says_when_the_next_begins(resets_at: float | None, metadata: dict[str, str]) -> None:
    """And not to retry before: clients' own retries would be a long wait."""
    error = refusal(denial(budget(2 * USD, resets_at=resets_at), inf, left=0))

    assert isinstance(error, BudgetExhausted)
    assert (error.retry_after, error.metadata) == (-1, metadata)
    assert error.quota == Quota("tenant:acme", "2 USD in total")


@pytest.mark.parametrize(
    ("asked", "left", "message"),
    [
        (USD, 0, "the budget of tenant:acme, 2 USD in total, is used up"),
        (USD, -USD, "the budget of tenant:acme, 2 USD in total, is used up"),
        (
            245_760_000,
            USD // 10,
            (
                "this call may cost up to $0.24576, and $0.10 of the budget of tenant:acme, 2 USD in total, is left: "
                "shorten the input or lower max_output_tokens"
            ),
        ),
        (
            3 * USD,
            1,
            (
                "this call may cost up to $3.00, and $0.000000001 of the budget of tenant:acme, 2 USD in total, is "
                "left: shorten the input or lower max_output_tokens"
            ),
        ),
    ],
)
def test_a_budget_is_called_used_up_only_where_it_is(asked: int, left: int, message: str) -> None:
    """Else its caller can do something: ask for less; what programs read is the same."""
    error = refusal(denial(budget(2 * USD), inf, left=left, asked=Amounts(nanousd=asked)))

    assert isinstance(error, BudgetExhausted)
    assert error.message == message
    assert (error.retry_after, error.quota) == (-1, Quota("tenant:acme", "2 USD in total"))


def test_what_passes_and_what_is_denied_is_counted_by_tenant_and_rule() -> None:
    """A call that a shadow would have denied passes all other rules; no label tells of users."""
    telescope = Telescope()
    denials = Denials(telescope.instruments, TenantLabels())

    shadow = rate(is_shadow=True)
    denials.judge(Verdict(), [shadow, lease()])
    denials.judge(Verdict(shadows=(denial(shadow, 1.0),)), [shadow, lease()])
    with pytest.raises(RateLimited):
        denials.judge(Verdict(denial=denial(lease(), 0.1)), [shadow, lease()])

    of_the_rate = ("1/s requests", "user", "true", "acme")
    of_the_lease = ("1 concurrent requests", "tenant", "false", "acme")
    assert denied(telescope) == {of_the_rate: 1, of_the_lease: 1}
    assert admitted(telescope) == {of_the_rate: 1, of_the_lease: 2}


def test_rules_of_tenants_that_are_not_told_apart_use_up_no_series() -> None:
    """However many there are, who has a label is told apart to the end, and a shadow is never taken for a denial."""
    telescope = Telescope()
    denials = Denials(telescope.instruments, TenantLabels())
    for number in range(FIRST):
        denials.judge(Verdict(), [of(f"tenant-{number}", rate())])

    for number in range(FIRST, 3 * MOST_SERIES):
        tenant = f"tenant-{number}"
        for shadow in (rate(per_second=number, is_shadow=True), budget(number * USD, is_shadow=True)):
            denials.judge(Verdict(shadows=(denial(of(tenant, shadow), 1.0),)), ())
    with pytest.raises(RateLimited):
        denials.judge(Verdict(denial=denial(of("tenant-0", rate()), 1.0)), ())
    with pytest.raises(RateLimited):
        denials.judge(Verdict(denial=denial(of("tenant-999", lease()), 1.0)), ())

    crowd = 3 * MOST_SERIES - FIRST
    assert denied(telescope) == {
        ("other", "tenant", "true", "other"): crowd,
        ("other USD", "tenant", "true", "other"): crowd,
        ("1/s requests", "tenant", "false", "tenant-0"): 1,
        ("other", "tenant", "false", "other"): 1,
    }


def test_where_rules_are_too_many_only_their_texts_are_lost() -> None:
    """After many reloads, say: whose they are, whether they deny, and whether it is about money is still told."""
    telescope = Telescope()
    denials = Denials(telescope.instruments, TenantLabels())
    for number in range(MOST_SERIES):
        shadow = rate(per_second=number, is_shadow=True)
        denials.judge(Verdict(shadows=(denial(shadow, 1.0),)), ())

    for one_too_many in (rate(per_second=0.5, is_shadow=True), budget(3 * USD, is_shadow=True)):
        denials.judge(Verdict(shadows=(denial(one_too_many, 1.0),)), ())
    for refused in (of("globex", rate(per_second=0.5)), of("globex", budget(3 * USD))):
        with pytest.raises((RateLimited, BudgetExhausted)):
            denials.judge(Verdict(denial=denial(refused, 1.0)), ())

    told = denied(telescope)
    assert len(told) == MOST_SERIES + 4
    assert {labels for labels in told if labels[0].startswith("other")} == {
        ("other", "user", "true", "acme"),
        ("other USD", "tenant", "true", "acme"),
        ("other", "tenant", "false", "globex"),
        ("other USD", "tenant", "false", "globex"),
    }


def of(tenant: str, demand: RateDemand | LeaseDemand | BudgetDemand) -> Demand:
    """The same of another tenant's rule, which counts the whole of it."""
    return replace(demand, tenant=tenant, per="tenant", subject=f"tenant:{tenant}")


def denied(telescope: Telescope) -> dict[tuple[str, ...], float]:
    """How often rules denied, by rule, whom they count, whether they are shadows, and tenant."""
    return counted(telescope, "denials")


def admitted(telescope: Telescope) -> dict[tuple[str, ...], float]:
    """How often they let pass."""
    return counted(telescope, "admissions")


def counted(telescope: Telescope, what: str) -> dict[tuple[str, ...], float]:
    """What was counted of all limits."""
    points = telescope.points(f"penstock.limit.{what}")
    return {tuple(map(str, labels.values())): value for labels, value in points}


def test_a_denial_is_told_of_on_its_call() -> None:
    """By which rule, and of whose kind; the tenant is on the span already."""
    telescope = Telescope()
    trace = telescope.tracing().begin("call", None, {})
    assert trace is not None

    denials = Denials(telescope.instruments, TenantLabels())
    verdict = Verdict(denial=denial(rate(per_second=2.0), 1.5))

    with pytest.raises(RateLimited), trace:
        denials.judge(verdict, ())

    (event,) = telescope.span("call").events
    assert (event.name, dict(event.attributes or {})) == (
        "penstock.denied",
        {"penstock.rule": "2/s requests", "penstock.rule.per": "user"},
    )


def test_the_same_demands_are_counted_under_the_label_that_their_tenant_has_by_then() -> None:
    """A busy tenant gets one of its own while its demands stay the same from call to call."""
    telescope, tenants = Telescope(), TenantLabels()
    denials, late = Denials(telescope.instruments, tenants), [of("late", rate())]
    for number in range(FIRST):
        tenants.of(f"tenant-{number}")

    for _ in range(BUSY_USES):
        denials.judge(Verdict(), late)
    tenants.promote()
    for _ in range(2):
        denials.judge(Verdict(), late)

    assert admitted(telescope) == {
        ("other", "tenant", "false", "other"): BUSY_USES,
        ("1/s requests", "tenant", "false", "late"): 2,
    }


def test_demands_of_any_number_of_callers_are_counted_by_what_they_are() -> None:
    """They come and go, and another's may be where theirs were."""
    telescope = Telescope()
    denials = Denials(telescope.instruments, TenantLabels())

    for number in range(3 * KEPT):
        denials.judge(Verdict(), [rate(is_shadow=number % 3 == 0), lease(1 + number % 2)])

    assert admitted(telescope) == {
        ("1/s requests", "user", "true", "acme"): KEPT,
        ("1/s requests", "user", "false", "acme"): 2 * KEPT,
        ("1 concurrent requests", "tenant", "false", "acme"): 3 * KEPT / 2,
        ("2 concurrent requests", "tenant", "false", "acme"): 3 * KEPT / 2,
    }


def test_of_callers_who_are_gone_nothing_is_kept_for_long() -> None:
    """However many came after them."""
    denials, first = Denials(Telescope().instruments, TenantLabels()), [rate()]
    before = sys.getrefcount(first)

    denials.judge(Verdict(), first)
    while_known = sys.getrefcount(first)
    for _ in range(KEPT):
        denials.judge(Verdict(), [rate()])

    assert (while_known, sys.getrefcount(first)) == (before + 1, before)
