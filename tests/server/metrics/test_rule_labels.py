"""Rules are told apart where their tenants are."""

import pytest

from penstockd.metrics.rule_labels import rule_label, untold


def test_a_rule_of_a_tenant_that_is_told_apart_is_called_what_it_says() -> None:
    """As configured: it is what somebody looks for."""
    assert rule_label("600/m requests", "acme") == "600/m requests"


@pytest.mark.parametrize(
    ("rule", "name"),
    [("600/m requests", "other"), ("8 concurrent requests", "other"), ("200 USD per month", "other USD")],
)
def test_rules_of_all_other_tenants_are_two(rule: str, name: str) -> None:
    """Limits, and budgets: alerts tell them apart by the currency."""
    assert rule_label(rule, "other") == untold(rule) == name
