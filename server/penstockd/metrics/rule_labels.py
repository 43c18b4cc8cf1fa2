"""Keeps the rules that metrics tell apart to a few: their texts are the one label of theirs that can be anything."""

from penstockd.metrics.instruments import OTHER

OTHER_USD = f"{OTHER} USD"
"""What budgets are called that are not told apart: alerts tell them from limits by the currency."""


def rule_label(rule: str, tenant_label: str) -> str:
    """Return what a rule is called in metrics; of tenants that are not told apart, rules are not either."""
    return untold(rule) if tenant_label == OTHER else rule


def untold(rule: str) -> str:
    """Return what a rule is called that is not told apart: one name for limits, and one for budgets."""
    return OTHER_USD if "USD" in rule else OTHER
