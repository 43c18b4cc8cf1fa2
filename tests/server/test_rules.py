"""What each rule asks of a call."""

from penstockd.limits import BudgetDemand, LeaseDemand, RateDemand
from penstockd.period import Period
from penstockd.principal import Principal
from penstockd.rules import (
    LONGEST_AGENT,
    BudgetRule,
    Caller,
    LimitRule,
    Per,
    Rate,
    Rulebook,
    TenantRules,
    kind_and_tenant,
)

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
MIDNIGHT = 1_767_312_000.0
CALLER = Caller(principal=Principal(tenant="acme", key="web"), user_id="u/1", agent="support")
REQUESTS = Rate(per_second=10.0, burst=100, text="600/m")
TOKENS = Rate(per_second=50.0, burst=3000, text="3000/m")


def test_an_admission_asks_for_a_request_and_a_place_of_each_limit() -> None:
    """Tokens and money are asked for later."""
    rules = TenantRules(
        limits=[
            LimitRule(per=Per.TENANT, requests=REQUESTS, tokens=TOKENS),
            LimitRule(per=Per.USER, concurrency=8, is_shadow=True),
        ],
        budgets=[BudgetRule(per=Per.TENANT, limit=5, period=Period.DAY, text="")],
    )

    demands = Rulebook({"acme": rules}).admission(CALLER, lease_ttl=60.0)

    assert list(demands) == [
        RateDemand(
            key="requests:600/m:100:tenant:acme",
            tenant="acme",
            per="tenant",
            subject="tenant:acme",
            rule="600/m requests",
            rate=10.0,
            burst=100,
        ),
        LeaseDemand(
            key="lease:user:acme/u/1",
            tenant="acme",
            per="user",
            subject="user:acme/u/1",
            rule="8 concurrent requests",
            limit=8,
            ttl=60.0,
            is_shadow=True,
        ),
    ]


def test_an_attempt_asks_for_tokens_and_money() -> None:
    """Of the budget's running period."""
    rules = TenantRules(
        limits=[LimitRule(per=Per.AGENT, tokens=TOKENS), LimitRule(per=Per.TENANT, requests=REQUESTS)],
        budgets=[BudgetRule(per=Per.KEY, limit=5, period=Period.DAY, text="5 USD per day", alert_at=(0.5,))],
    )

    tokens, money = Rulebook({"acme": rules}).attempt(CALLER, now=NOON)

    assert isinstance(tokens, RateDemand)
    assert (tokens.subject, tokens.rule) == ("agent:acme/support", "3000/m tokens")
    assert money == BudgetDemand(
        key="budget:day:1767225600:key:acme/web",
        tenant="acme",
        per="key",
        subject="key:acme/web",
        rule="5 USD per day",
        limit=5,
        resets_at=MIDNIGHT,
        alert_at=(0.5,),
        first_alert=2.5,
    )


def test_a_period_that_begins_is_another_account() -> None:
    """And a changed limit is the same."""
    rules = [BudgetRule(per=Per.TENANT, limit=limit, period=Period.DAY, text="") for limit in (5, 6)]
    book = Rulebook({"acme": TenantRules(budgets=rules)})

    before = [demand.key for demand in book.attempt(CALLER, now=MIDNIGHT - 0.001)]
    after = [demand.key for demand in book.attempt(CALLER, now=MIDNIGHT)]

    assert before[0] == before[1] != after[0] == after[1]


def test_a_tenant_without_rules_is_asked_nothing() -> None:
    """Whoever it is."""
    book = Rulebook({"acme": TenantRules(limits=[], budgets=[])})

    assert not book.admission(CALLER, lease_ttl=1.0)
    assert not book.attempt(CALLER, now=NOON)


def test_a_metric_learns_of_a_subject_only_what_is_bounded() -> None:
    """Its kind and its tenant."""
    assert kind_and_tenant(CALLER.subject(Per.USER)) == ("user", "acme")
    assert kind_and_tenant(CALLER.subject(Per.TENANT)) == ("tenant", "acme")


def test_what_no_rule_counts_by_is_not_kept() -> None:
    """An agent's name may be of any length before it is known whether there is such an agent."""
    book = Rulebook({"acme": TenantRules(limits=[LimitRule(per=Per.TENANT, requests=REQUESTS)])})
    principal = Principal(tenant="acme")
    first = book.admission(Caller(principal=principal, user_id="u", agent="a"), lease_ttl=1.0)

    others = [Caller(principal=principal, user_id=f"u{number}", agent="a" * 9 * number) for number in range(100)]

    assert all(book.admission(other, lease_ttl=1.0) is first for other in others)


def test_an_agents_name_is_kept_as_far_as_agents_have_names() -> None:
    """What is longer names none, and counts as one."""
    book = Rulebook({"acme": TenantRules(limits=[LimitRule(per=Per.AGENT, requests=REQUESTS)])})
    principal = Principal(tenant="acme")
    long, longer, short = (
        book.admission(Caller(principal=principal, user_id="u", agent="a" * length), lease_ttl=1.0)
        for length in (LONGEST_AGENT, LONGEST_AGENT + 1, LONGEST_AGENT - 1)
    )

    assert long is longer
    assert long is not short
