"""Budgets that outlive what the ledger keeps are told of: a restart counts them from it."""

import pytest

from fakes.config_file import ConfigFile
from penstockd.config import cautions

ALL_THAT_COUNTS = (
    "ledger.retention: {} is all that a restart lets count of a {} budget, such as tenants.default.budgets[{}]"
)


def told(config: ConfigFile, *periods: str, retention: str, shadow: str = "false") -> list[str]:
    """What people are told of a tenant with budgets for these periods."""
    budgets = ", ".join(f"{{per: tenant, usd: 5, period: {period}, shadow: {shadow}}}" for period in periods)
    text = f"ledger: {{retention: {retention}}}\ntenants: {{default: {{budgets: [{budgets}]}}}}\n"

    return list(cautions(config.load("models: {m: {provider: echo}}\n" + text), 0.0))


@pytest.mark.parametrize("retention", ["1h", "7d", "719h"])
def test_a_retention_below_a_month_gives_back_what_was_spent_in_it(config: ConfigFile, retention: str) -> None:
    """How much counts is said, and what to set; once, however many budgets there are."""
    [line] = told(config, "day", "month", "month", retention=retention)

    assert line == ALL_THAT_COUNTS.format(retention, "month", 1) + ": set 30d or more"


@pytest.mark.parametrize("period", ["hour", "day", "month"])
@pytest.mark.parametrize("retention", ["1s", "30d", "400d"])
def test_a_budget_whose_whole_period_is_kept_is_no_matter(config: ConfigFile, period: str, retention: str) -> None:
    """What began today always is, whatever the retention."""
    assert bool(told(config, period, retention=retention)) == ((period, retention) == ("month", "1s"))


@pytest.mark.parametrize(("retention", "is_told"), [("400d", True), ("3649d", True), ("3650d", False)])
def test_no_retention_is_all_time(config: ConfigFile, retention: str, *, is_told: bool) -> None:
    """Not even the usual one; who keeps ten years has thought of it."""
    lines = told(config, "total", retention=retention)

    remedy = ": set as long as it is to hold; 3650d or more counts as for ever"
    assert lines == [ALL_THAT_COUNTS.format(retention, "total", 0) + remedy] * is_told


def test_a_shadow_gives_nothing_back(config: ConfigFile) -> None:
    """It denies nobody, however little it counts."""
    assert told(config, "month", "total", retention="1h", shadow="true") == []
