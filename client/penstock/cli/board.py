"""Draws a daemon's snapshot for a terminal: what is wrong first, then the pool, and whatever fits below."""

import time
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from textwrap import wrap
from typing import Any, TypeAlias

from penstock.cli import figures
from penstock.cli.terminal import one_line, table

Snapshot: TypeAlias = Mapping[str, Any]
"""What /status says, as JSON gives it."""

_RED, _YELLOW, _GREEN, _BOLD, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_LOUD = {"critical": _RED + _BOLD, "warning": _YELLOW, "notice": ""}
_FEW = 5


class Board:
    """Draws snapshots `width` columns wide."""

    def __init__(self, *, width: int, is_colored: bool) -> None:
        self._width = width
        self._is_colored = is_colored

    def lines(self, it: Snapshot, *, lost: str = "") -> list[str]:
        """Return the whole board; `lost` is why there is no newer snapshot than this."""
        drawn = [*self._head(it, lost), *self._problems(it), "", *self._glance(it)]
        for part in (_pool, _durations, _reasons, _tenants, _limits, _budgets, _cache, _changes):
            header, rows = part(it)
            if rows:
                drawn += ["", *self._table(header, rows)]
        return drawn

    def _head(self, it: Snapshot, lost: str) -> Iterator[str]:
        at = time.strftime("%H:%M:%S", time.localtime(it["at"]))
        title = f"penstock {it['version']} · {it['environment']} · up {figures.span(it['uptime_seconds'])} · {at}"
        yield self._paint(self._cut(title), _BOLD)
        if lost:
            yield self._paint(self._cut(f"DISCONNECTED: {lost}; what is below is of {at}"), _RED + _BOLD)

    def _problems(self, it: Snapshot) -> Iterator[str]:
        for problem in it["problems"]:
            text = f"{problem['severity'].upper():<9} {one_line(problem['text'])}"
            # What is wrong is never cut: its end says what to do.
            for line in wrap(text, self._width, subsequent_indent=" " * 10, break_on_hyphens=False):
                yield self._paint(line, _LOUD.get(problem["severity"], ""))
        if not it["problems"]:
            usable = sum(model["state"] == "closed" and model["cooldown"] is None for model in it["models"])
            yield self._paint(self._cut(f"ALL WELL  {usable} of {len(it['models'])} models usable"), _GREEN)

    def _glance(self, it: Snapshot) -> Iterator[str]:
        calls, traffic, call = it["calls"], it["traffic"], it["durations"]["call"]["last_5m"]
        errors, refusals = ([point[name] for point in traffic] for name in ("errors", "refused"))
        # Of an older daemon only the slices tell.
        failed, refused = calls.get("last_5m_failed", sum(errors)), calls.get("last_5m_refused", sum(refusals))
        ended = sum(calls["last_5m_by_code"].values())
        rates = [point["calls"] / point["seconds"] for point in traffic]
        spend = [point["cost_nanousd"] for point in traffic]
        facts = [
            ("calls", f"{rates[-1] if rates else 0:.1f}/s, {calls['total']} in all", rates),
            ("failed", f"{figures.percent(failed / ended if ended else 0)} of 5 min", errors),
            ("refused", f"{refused} in 5 min", refusals),
            (
                "p99",
                f"{figures.seconds(call['p99'])}, half {figures.seconds(call['p50'])}",
                [p["p99"] for p in traffic],
            ),
            ("spend", f"{figures.dollars(it['spend']['last_5m_nanousd'])} in 5 min", spend),
            ("in flight", f"{calls['in_flight']} of {calls['limit']}{_shed(calls)}", ()),
        ]
        for name, text, drawn in facts:
            yield self._cut(f"{name:<10} {text:<28} {figures.sparkline(drawn)}")

    def _table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
        """Lay out rows in columns, all but the first and the last to the right."""
        first, *others = map(self._cut, table(header, rows, right=range(1, len(header) - 1)))
        yield self._paint(first, _DIM)
        yield from others

    def _cut(self, text: str) -> str:
        """Keep to the width, and let nothing steer the terminal."""
        text = (text if text.isprintable() else one_line(text)).rstrip()
        return text if len(text) <= self._width else f"{text[: self._width - 1]}…"

    def _paint(self, text: str, color: str) -> str:
        return f"{color}{text}{_PLAIN}" if self._is_colored and color else text


_Table: TypeAlias = tuple[Sequence[str], Sequence[Sequence[str]]]


def _pool(it: Snapshot) -> _Table:
    header = ("MODEL", "STATE", "IN FLIGHT", "ERRORS", "FIRST", "5 MIN", "COST", "")
    return header, [
        (
            model["name"],
            "cooling" if model["state"] == "closed" and model["cooldown"] else model["state"].replace("_", "-"),
            f"{model['in_flight']}/{model['max_in_flight']}",
            figures.percent(model["error_rate"]),
            figures.seconds(model["ttft"]),
            str(model["calls_last_5m"]),
            figures.dollars(model["cost_nanousd"]),
            _standing(model),
        )
        for model in it["models"]
    ]


def _standing(model: Mapping[str, Any]) -> str:
    wait = model["next_probe_in"]
    # First, as it stands nowhere else: the cause is among the problems above, and may be cut here.
    back = f"{'probe' if model['state'] == 'open' else 'back'} in {ceil(wait)} s" if wait else ""
    cause = model["cause"].replace("_", " ")
    # What nobody is to blame for opens no circuit, and is no answer either. An older daemon does not tell.
    blameless = model.get("blameless", 0.0)
    in_vain = f"{figures.percent(blameless)} in vain" if blameless else ""
    return ", ".join(filter(None, [back, cause, in_vain]))


def _durations(it: Snapshot) -> _Table:
    header = ("LAST 5 MIN", "COUNT", "MIN", "AVG", "P50", "P90", "P99", "MAX", "")
    names = {"call": "whole call", "first_content": "first content", "overhead": "in penstock"}
    rows = [(name, it["durations"][key]["last_5m"]) for key, name in names.items()]
    rows += [("ledger commit", it["ledger"]["commit"]["last_5m"]), ("loop late by", it["loop_lag"]["last_5m"])]
    columns = ("min", "avg", "p50", "p90", "p99", "max")
    return header, [
        (name, str(summary["count"]), *(figures.seconds(summary[column]) for column in columns), "")
        for name, summary in rows
    ]


def _shed(calls: Mapping[str, Any]) -> str:
    """Those that found no room; an older daemon does not tell, nor why others failed."""
    shed = calls.get("last_5m_shed", 0)
    return f", {shed} shed in 5 min" if shed else ""


def _reasons(it: Snapshot) -> _Table:
    since_start, lately = (it["calls"].get(name, {}) for name in ("by_reason", "last_5m_by_reason"))
    most = sorted(since_start, key=lambda reason: (lately.get(reason, 0), since_start[reason]), reverse=True)
    return ("FAILED WITH", "5 MIN", "IN ALL", ""), [
        (reason, str(lately.get(reason, 0)), str(since_start[reason]), "") for reason in most[:_FEW]
    ]


def _tenants(it: Snapshot) -> _Table:
    header = ("TENANT", "5 MIN", "IN ALL", "FAILED", "DENIED", "COST", "")
    return header, [
        (
            tenant["tenant"],
            *(str(tenant[column]) for column in ("calls_last_5m", "calls", "errors", "denials")),
            figures.dollars(tenant["cost_nanousd"]),
            "",
        )
        for tenant in it["tenants"][:_FEW]
    ]


def _limits(it: Snapshot) -> _Table:
    header = ("DENIED BY", "LAST MINUTE", "IN ALL", "WHOM")
    return header, [
        (
            _rule(limit),
            str(limit["denials_last_minute"]),
            str(limit["denials"]),
            f"{limit['tenant']}, per {limit['per']}",
        )
        for limit in it["limits"][:_FEW]
    ]


def _budgets(it: Snapshot) -> _Table:
    header = ("BUDGET OF", "USED", "SPENT", "HELD", "")
    return header, [
        (
            budget["tenant"],
            figures.percent(budget["fraction"]),
            figures.dollars(budget["spent_nanousd"]),
            figures.dollars(budget["held_nanousd"]),
            _rule(budget),
        )
        for budget in it["budgets"][:_FEW]
    ]


def _rule(row: Mapping[str, Any]) -> str:
    return f"{row['rule']}{' (shadow)' if row['shadow'] else ''}"


def _cache(it: Snapshot) -> _Table:
    cache = it["cache"]
    asked = cache["hits"] + cache["misses"]
    header = ("CACHE", "HIT RATE", "HITS", "MISSES", "JOINS", "ENTRIES", "SIZE", "")
    rate = figures.percent(cache["hits"] / asked) if asked else "-"
    counts = (str(cache[name]) for name in ("hits", "misses", "joins", "entries"))
    return header, [("on" if cache["enabled"] else "off", rate, *counts, figures.size(cache["bytes"]), _by_key(it))]


def _by_key(it: Snapshot) -> str:
    """What came of idempotency keys that were used before; an older daemon does not tell."""
    keyed = it.get("idempotency", {})
    counts = [f"{keyed[what]} {what}" for what in ("replays", "joins") if keyed.get(what)]
    return f"by key: {', '.join(counts)}" if counts else ""


def _changes(it: Snapshot) -> _Table:
    return ("CHANGES", "WHAT", "TO", ""), [
        (
            time.strftime("%H:%M:%S", time.localtime(change["at"])),
            change["what"],
            change["state"].replace("_", "-"),
            _whose(change),
        )
        for change in it["changes"][: 2 * _FEW]
    ]


def _whose(change: Mapping[str, Any]) -> str:
    """Whose change it is and why, without a name that stands beside it already, such as the ledger's."""
    subject = "" if change["subject"] == change["what"] else change["subject"]
    text = ": ".join(filter(None, [subject, change["cause"].replace("_", " ")]))
    return f"{text} ({change['count']} times)".strip() if change["count"] > 1 else text
