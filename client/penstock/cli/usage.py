"""`penstock usage`: shows what was used, what it cost, and how the budgets stand."""

import csv
import sys
from argparse import Namespace
from collections.abc import Sequence

from penstock.cli import daemon, figures, terminal
from penstock.cli.figures import exact_dollars
from penstock.v1.usage_service_pb2 import BudgetState, GetUsageResponse, UsageBreakdown, UsageTotals

BY = ("agent", "user", "model")
_COLUMNS = (
    "requests",
    "input_tokens",
    "output_tokens",
    "cost_nanousd",
    "cost_estimated_nanousd",
    "wasted_nanousd",
)
_HEADER = ("REQUESTS", "INPUT", "OUTPUT", "COST", "ESTIMATED", "WASTED")
_NOBODY = "-"
_BAR = 20


def run(chosen: Namespace) -> int:
    """Print the sums, as tables, CSV or JSON."""
    if chosen.csv and chosen.json:
        raise ValueError("--csv and --json exclude each other: give one")
    with daemon.onlooker(chosen) as client:
        usage = client.get_usage(
            tenant=chosen.tenant,
            user_id=chosen.user,
            agent=chosen.agent,
            model=chosen.model,
            since=chosen.since,
            until=chosen.until,
        )
    breakdowns = {"agent": usage.by_agent, "user": usage.by_user, "model": usage.by_model}
    if chosen.json:
        terminal.write_json(usage)
    elif chosen.csv:
        _write_csv(chosen.by, breakdowns[chosen.by])
        _complain_of_the_rest(chosen.by, usage.total, breakdowns[chosen.by])
    else:
        _show(chosen.by, usage, breakdowns[chosen.by])
    return 0


def _show(by: str, usage: GetUsageResponse, parts: Sequence[UsageBreakdown]) -> None:
    rows = [[part.name or _NOBODY, *_cells(part.totals)] for part in parts]
    terminal.write_lines(terminal.table((by.upper(), *_HEADER), [*rows, ["total", *_cells(usage.total)]]))
    if usage.budgets:
        budgets = [_budget(state) for state in usage.budgets]
        terminal.write_lines(["", *terminal.table(("BUDGET", "RULE", "SPENT", "", "", "RESETS"), budgets)])


def _write_csv(by: str, parts: Sequence[UsageBreakdown]) -> None:
    """Write what programs read: whole numbers, money in nano-USD; no total, which would be counted twice."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([by, *_COLUMNS])
    for part in parts:
        writer.writerow([part.name, *(getattr(part.totals, column) for column in _COLUMNS)])


def _complain_of_the_rest(by: str, total: UsageTotals, parts: Sequence[UsageBreakdown]) -> None:
    """Say that lines are lacking, where the daemon had more to tell than one answer holds."""
    rest = {column: getattr(total, column) - sum(getattr(part.totals, column) for part in parts) for column in _COLUMNS}
    if any(count > 0 for count in rest.values()):
        terminal.complain(
            f"these are the dearest {len(parts):,}: {exact_dollars(rest['cost_nanousd'])} of "
            f"{exact_dollars(total.cost_nanousd)} is of others; to have each {by}, ask for shorter times or for one "
            "agent, model or tenant after another"
        )


def _cells(totals: UsageTotals) -> list[str]:
    tokens = (totals.requests, totals.input_tokens, totals.output_tokens)
    money = (totals.cost_nanousd, totals.cost_estimated_nanousd, totals.wasted_nanousd)
    return [*(f"{count:,}" for count in tokens), *(exact_dollars(amount) for amount in money)]


def _budget(state: BudgetState) -> list[str]:
    used = state.spent_nanousd / max(state.limit_nanousd, 1)
    resets = f"{state.reset_time.ToDatetime():%Y-%m-%d %H:%M} UTC" if state.HasField("reset_time") else "never"
    amounts = f"{exact_dollars(state.spent_nanousd)} of {exact_dollars(state.limit_nanousd)}"
    rule = f"{state.rule} (shadow)" if state.shadow else state.rule
    return [state.subject, rule, _bar(used), figures.percent(used), amounts, resets]


def _bar(share: float) -> str:
    full = round(min(share, 1) * _BAR)
    return "█" * full + "░" * (_BAR - full)
