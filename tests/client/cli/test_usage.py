"""`penstock usage` shows what was used, for people and for programs."""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from fakes.daemon import FakeDaemon
from penstock.cli import moments
from penstock.v1.usage_service_pb2 import BudgetState, GetUsageResponse, UsageBreakdown, UsageTotals

Run = Callable[..., tuple[int, str, str]]

LARGE = UsageTotals(
    requests=1234, input_tokens=5_000_000, output_tokens=70_000, cost_nanousd=12_340_000_000, wasted_nanousd=20_000_000
)
SMALL = UsageTotals(requests=1, input_tokens=10, output_tokens=2, cost_nanousd=4000, cost_estimated_nanousd=4000)
USAGE = GetUsageResponse(
    total=LARGE,
    by_agent=[UsageBreakdown(name="support", totals=LARGE)],
    by_user=[UsageBreakdown(name="u,1", totals=LARGE), UsageBreakdown(totals=SMALL)],
    by_model=[UsageBreakdown(name="fast", totals=LARGE)],
    budgets=[
        BudgetState(
            subject="tenant:acme",
            rule="200 USD per month",
            limit_nanousd=200 * 10**9,
            spent_nanousd=50 * 10**9,
            reset_time=Timestamp(seconds=1_764_547_200),
        ),
        BudgetState(
            subject="key:acme/web", rule="1 USD in all", limit_nanousd=10**9, spent_nanousd=2 * 10**9, shadow=True
        ),
    ],
)


def test_people_see_tables_and_bars(run: Run, daemon: FakeDaemon) -> None:
    """Dearest first, the total last; a budget's bar is full when it is used up; a shadow is named so."""
    daemon.usage = USAGE

    code, out, err = run("usage")

    assert (code, err) == (0, "")
    assert out == (
        "AGENT    REQUESTS  INPUT      OUTPUT  COST    ESTIMATED  WASTED\n"
        "support  1,234     5,000,000  70,000  $12.34  $0.00      $0.02\n"
        "total    1,234     5,000,000  70,000  $12.34  $0.00      $0.02\n"
        "\n"
        "BUDGET        RULE                   SPENT                                          RESETS\n"
        "tenant:acme   200 USD per month      █████░░░░░░░░░░░░░░░  25%   $50.00 of $200.00  2025-12-01 00:00 UTC\n"
        "key:acme/web  1 USD in all (shadow)  ████████████████████  200%  $2.00 of $1.00     never\n"
    )


def test_a_breakdown_is_chosen(run: Run, daemon: FakeDaemon) -> None:
    """Calls that named no user are one line, and no budget is no table."""
    daemon.usage = GetUsageResponse(total=LARGE, by_user=USAGE.by_user)

    _, out, _ = run("usage", "--by", "user")

    assert [line.split()[0] for line in out.splitlines()] == ["USER", "u,1", "-", "total"]


def test_programs_read_csv(run: Run, daemon: FakeDaemon) -> None:
    """Whole numbers and quoted names; no total, which a sum would count twice."""
    daemon.usage = USAGE

    _, out, _ = run("usage", "--by", "user", "--csv")

    assert out == (
        "user,requests,input_tokens,output_tokens,cost_nanousd,cost_estimated_nanousd,wasted_nanousd\n"
        '"u,1",1234,5000000,70000,12340000000,0,20000000\n'
        ",1,10,2,4000,4000,0\n"
    )


def test_csv_that_is_not_all_says_so(run: Run, daemon: FakeDaemon) -> None:
    """Whoever bills by it reads it beside the lines, which stay what they are; calls of an unknown price count too."""
    free = UsageTotals(requests=LARGE.requests + 1, input_tokens=LARGE.input_tokens, cost_nanousd=LARGE.cost_nanousd)
    daemon.usage = GetUsageResponse(total=LARGE, by_user=[UsageBreakdown(name="u1", totals=SMALL)])

    code, out, err = run("usage", "--by", "user", "--csv")
    daemon.usage = GetUsageResponse(total=free, by_user=[UsageBreakdown(name="u1", totals=LARGE)])
    _, _, of_free = run("usage", "--by", "user", "--csv")
    daemon.usage = GetUsageResponse(total=LARGE, by_user=[UsageBreakdown(name="u1", totals=LARGE)])
    _, _, of_all = run("usage", "--by", "user", "--csv")

    assert (code, len(out.splitlines())) == (0, 2)
    assert err == (
        "penstock: these are the dearest 1: $12.339996 of $12.34 is of others; "
        "to have each user, ask for shorter times or for one agent, model or tenant after another\n"
    )
    assert of_free.startswith("penstock: these are the dearest 1: $0.00 of $12.34 ")
    assert of_all == ""


def test_programs_read_json(run: Run, daemon: FakeDaemon) -> None:
    """The contract's own response, in one line."""
    daemon.usage = USAGE

    _, out, _ = run("usage", "--json")

    assert json.loads(out)["by_model"][0]["totals"]["cost_nanousd"] == "12340000000"
    assert out.count("\n") == 1


def test_there_is_one_form_at_a_time(run: Run, daemon: FakeDaemon) -> None:
    """Neither is quietly left out."""
    said = "penstock: --csv and --json exclude each other: give one\n"

    assert run("usage", "--csv", "--json") == (2, "", said)
    assert daemon.usage_requests == []


def test_what_is_asked_for_goes_to_the_daemon(run: Run, daemon: FakeDaemon) -> None:
    """Every filter, and both ends of the time."""
    times = ("--since", "2026-11-01", "--until", "2026-11-02T12:00+02:00")

    run("usage", "--tenant", "*", "--user", "u", "--agent", "a", "--model", "m", *times)

    (asked,) = daemon.usage_requests
    assert (asked.tenant, asked.user_id, asked.agent, asked.model) == ("*", "u", "a", "m")
    assert asked.start_time.ToDatetime(UTC) == datetime(2026, 11, 1, tzinfo=UTC)
    assert asked.end_time.ToDatetime(UTC) == datetime(2026, 11, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_moment_may_be_so_long_ago(text: str, ago: timedelta) -> None:
    """Counted from now."""
    now = datetime.now(UTC)

    assert abs(now - moments.parse(text) - ago) < timedelta(seconds=10)


@pytest.mark.parametrize("text", ["yesterday", "7", "7y", "2026-13-01", "999999w", ""])
def test_what_is_no_moment_is_said(text: str) -> None:
    """The error shows what one looks like."""
    with pytest.raises(argparse.ArgumentTypeError, match="2026-11-01"):
        moments.parse(text)
