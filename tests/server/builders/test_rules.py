"""The configuration's limits and budgets as they are applied."""

import pytest

from fakes.config_file import ConfigFile
from penstockd.builders.rules import rulebook
from penstockd.period import Period
from penstockd.rules import BudgetRule, LimitRule, Per, Rate


def test_each_limit_and_budget_becomes_a_rule(config: ConfigFile) -> None:
    """A burst that is not given is one period's worth."""
    settings = config.load("""
        models: {m: {provider: echo}}
        tenants:
          acme:
            limits:
              - {per: tenant, requests: 600/m, burst: 100}
              - {per: key, requests: 10/s, tokens: 3600/h, concurrency: 8, shadow: true}
            budgets:
              - {per: tenant, usd: 200, period: month, alert_at: [0.5]}
              - {per: user, usd: 0.5, period: total, shadow: true}
          other: {}
    """)

    book = rulebook(settings)

    rules = book.of("acme")
    assert rules.limits == [
        LimitRule(per=Per.TENANT, requests=Rate(per_second=10.0, burst=100, text="600/m")),
        LimitRule(
            per=Per.KEY,
            requests=Rate(per_second=10.0, burst=10, text="10/s"),
            tokens=Rate(per_second=1.0, burst=3600, text="3600/h"),
            concurrency=8,
            is_shadow=True,
        ),
    ]
    assert rules.budgets == [
        BudgetRule(per=Per.TENANT, limit=200 * 10**9, period=Period.MONTH, text="200 USD per month", alert_at=(0.5,)),
        BudgetRule(
            per=Per.USER,
            limit=10**9 // 2,
            period=Period.TOTAL,
            text="0.5 USD in total",
            alert_at=(0.5, 0.8, 1.0),
            is_shadow=True,
        ),
    ]
    assert list(book.tenants) == ["acme", "other"]
    assert not book.of("other").limits
    assert not book.of("nobody").limits


@pytest.mark.parametrize(
    ("usd", "text"),
    [("200", "200"), ("200.0", "200"), ("0.5", "0.5"), ("0.000025", "0.000025"), ("1e-9", "0.000000001")],
)
def test_money_is_written_plainly(config: ConfigFile, usd: str, text: str) -> None:
    """However little it is: people read it."""
    settings = config.load(f"""
        models: {{m: {{provider: echo}}}}
        tenants: {{default: {{budgets: [{{per: tenant, usd: {usd}, period: day}}]}}}}
    """)

    [rule] = rulebook(settings).of("default").budgets

    assert rule.text == f"{text} USD per day"
