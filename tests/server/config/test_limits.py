"""Limits and budgets, as the configuration says them."""

import pytest

from fakes.config_file import ConfigFile
from penstockd.config import describe

TENANT = "models: {{m: {{provider: echo}}}}\ntenants: {{t: {{{rules}}}}}"


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        ("limits: [{per: planet, requests: 1/s}]", "limits[0].per: must be tenant or user or agent or key"),
        ("limits: [{per: user}]", "limits[0]: limits nothing: give requests, tokens or concurrency"),
        ("limits: [{per: user, burst: 5, tokens: 1/s}]", "limits[0]: burst needs requests"),
        ("limits: [{per: user, requests: 1/s, burst: 0}]", "limits[0].burst: must be at least 1"),
        ("limits: [{per: user, requests: 10}]", "limits[0].requests: must be a rate such as 10/s, 600/m, 100/h or"),
        ("limits: [{per: user, concurrency: 0}]", "limits[0].concurrency: must be at least 1"),
        ("limits: [{per: user, requests: 1/s, shadow: 3}]", "limits[0].shadow: must be true or false"),
        ("budgets: [{per: user, usd: 0}]", "budgets[0].usd: must be more than 0"),
        ("budgets: [{per: user, usd: 1, period: week}]", "budgets[0].period: must be hour or day or month or total"),
        ("budgets: [{per: user, usd: 1, alert_at: [1.5]}]", "budgets[0].alert_at[0]: must be at most 1"),
        ("budgets: [{per: user, usd: 1, alert_at: [0.2, 0.8, 0.2]}]", 'budgets[0].alert_at: "0.2" is given twice'),
        ("budgets: [{per: planet, usd: 1}]", "budgets[0].per: must be tenant or user or agent or key"),
    ],
)
def test_a_rule_must_mean_something(config: ConfigFile, rules: str, line: str) -> None:
    """The mistake is named, with its place."""
    [found] = config.mistakes(TENANT.format(rules=rules))

    assert found.startswith(f"tenants.t.{line}")


def test_what_is_shown_loads_as_the_same_rules(config: ConfigFile) -> None:
    """Rates, money and shadows included."""
    settings = config.load(
        TENANT.format(
            rules="limits: [{per: key, requests: 600/m, burst: 5, tokens: 1/d, concurrency: 8, shadow: true}],"
            "budgets: [{per: tenant, usd: 0.000000001, period: hour, alert_at: [0.25]}]"
        )
    )

    assert config.load(describe(settings)).tenants == settings.tenants
