"""What is wrong, of all that a snapshot shows: the causes that whoever is woken at night looks for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, floor

from penstockd.metrics.distribution import Summary
from penstockd.snapshot.shape import (
    FAULTS,
    BudgetRow,
    Calls,
    LedgerRow,
    LimitRow,
    ModelRow,
    Problem,
    Ready,
    Severity,
)

NEARLY_USED_UP = 0.8
AS_GOOD_AS_USED_UP = 0.99
"""From here on, denials mean that hardly any call fits: PenstockBudgetExhausted draws the same line."""
TOO_MANY_ERRORS = 0.05
ENOUGH_CALLS = 10
LONG_LAG = 0.25
"""Seconds that the event loop comes late at its 99th percentile, from which on calls feel it."""
MOST = 20
_WORST_FIRST: dict[Severity, int] = {"critical": 0, "warning": 1, "notice": 2}


def problems(
    *,
    ready: Ready,
    ledger: LedgerRow,
    models: Sequence[ModelRow],
    budgets: Sequence[BudgetRow],
    limits: Sequence[LimitRow],
    calls: Calls,
    last_minute: Mapping[str, int],
    unpriced: Mapping[str, int],
    loop_lag: Summary,
    dropped: int,
    refused: str,
) -> list[Problem]:
    """Return the problems, worst first.

    `last_minute` counts the calls that ended in it, by code; `unpriced` those that were refused in it for want of a
    price, by model. `refused` is what is wrong with the configuration on disk.
    """
    found = [
        *_of_the_ledger(ledger),
        *_of_the_pool(models),
        *_of_budgets(budgets, limits),
        *_of_calls(calls, last_minute),
        *_of_models(models),
        *_of_prices(unpriced),
        *_of_tenants(limits, budgets),
        *_of_strangers(last_minute),
        *_of_the_configuration(refused),
        *_of_readiness(ready),
        *_of_the_daemon(loop_lag, dropped),
    ]
    return sorted(found, key=lambda problem: _WORST_FIRST[problem.severity])[:MOST]


def _of_the_configuration(refused: str) -> Iterator[Problem]:
    if refused:
        remedy = "The one before is in use, but a restart would fail: mend what penstockd check says, then reload."
        text = f"The configuration on disk was refused: {refused}. {remedy}"
        yield _problem("warning", "configuration", "configuration", text)


def _of_readiness(ready: Ready) -> Iterator[Problem]:
    for reason in ready.reasons:
        if reason != "ledger":
            yield _problem("warning", "daemon", "penstockd", f"Not ready: {reason}.")


def _of_the_ledger(ledger: LedgerRow) -> Iterator[Problem]:
    if ledger.failing:
        waiting = f" {_plural(ledger.waiting, 'row')} waiting." if ledger.waiting else ""
        text = f"The ledger cannot be written: {ledger.fault or 'no reason given'}. Calls are refused.{waiting}"
        yield _problem("critical", "ledger", "ledger", text)


def _of_the_pool(models: Sequence[ModelRow]) -> Iterator[Problem]:
    if models and not any(_is_usable(model) for model in models):
        yield _problem("critical", "circuit", "pool", "No model can be used: every call that needs one fails.")


def _of_models(models: Iterable[ModelRow]) -> Iterator[Problem]:
    for model in models:
        match model.state:
            case "open":
                probe = " Its next call probes it."
                if model.next_probe_in is not None:
                    probe = f" Next probe in {ceil(model.next_probe_in)} s."
                yield _problem(
                    "warning", "circuit", model.name, f"Model {model.name} is open: {_words(model.cause)}.{probe}"
                )
            case "half_open":
                text = f"Model {model.name} is being probed after {_words(model.cause)}."
                yield _problem("warning", "circuit", model.name, text)
            case "disabled":
                text = f"Model {model.name} was disabled by an operator."
                yield _problem("notice", "circuit", model.name, text)
            case _ if model.cooldown is not None:
                text = f"Model {model.name} is rate-limited upstream for {ceil(model.cooldown)} s more."
                yield _problem("warning", "circuit", model.name, text)
            case _ if model.in_flight >= model.max_in_flight:
                text = f"Model {model.name} is full: {model.in_flight} of {model.max_in_flight} in flight."
                yield _problem("warning", "circuit", model.name, text)


def _of_budgets(budgets: Sequence[BudgetRow], limits: Iterable[LimitRow]) -> Iterator[Problem]:
    """Budgets that are used up, nearly, or too little for what is asked; shadows may well be."""
    denials = {
        (limit.tenant, limit.rule): limit.denials_last_minute
        for limit in limits
        if _denies(limit) and limit.per == "tenant"
    }
    for budget in budgets:
        refused = denials.get((budget.tenant, budget.rule), 0)
        if budget.shadow:
            continue
        if budget.spent_nanousd >= budget.limit_nanousd:
            text = f"{budget.tenant} has used up its budget of {budget.rule}; its calls are refused."
            yield _problem("critical", "budget", budget.tenant, text)
        elif refused or budget.fraction >= NEARLY_USED_UP:
            too_dear = f": calls that may cost more than is left are refused, {refused} in the last minute"
            text = f"{budget.tenant} has used {_percent(budget.fraction)} of its budget of {budget.rule}"
            severity: Severity = "critical" if refused and budget.fraction >= AS_GOOD_AS_USED_UP else "warning"
            yield _problem(severity, "budget", budget.tenant, f"{text}{too_dear if refused else ''}.")


def _of_prices(unpriced: Mapping[str, int]) -> Iterator[Problem]:
    for model, refused in unpriced.items():
        text = f"Model {model} has no known price: calls on a budget are refused, {refused} in the last minute."
        yield _problem("warning", "price", model, text)


def _of_tenants(limits: Iterable[LimitRow], budgets: Iterable[BudgetRow]) -> Iterator[Problem]:
    """Those who are denied what they ask, but for budgets, which are told of above."""
    told = {(budget.tenant, budget.rule) for budget in budgets}
    for limit in limits:
        if _denies(limit) and not (limit.per == "tenant" and (limit.tenant, limit.rule) in told):
            whom = f"{limit.tenant} is" if limit.per == "tenant" else f"Callers of {limit.tenant} (per {limit.per}) are"
            times = _plural(limit.denials_last_minute, "denial")
            text = f"{whom} being denied by {limit.rule}: {times} in the last minute."
            yield _problem("warning", "tenant", limit.tenant, text)


def _denies(limit: LimitRow) -> bool:
    return limit.denials_last_minute > 0 and not limit.shadow


def _of_calls(calls: Calls, last_minute: Mapping[str, int]) -> Iterator[Problem]:
    if calls.in_flight >= calls.limit:
        text = f"The daemon is full: {calls.in_flight} of {calls.limit} calls in flight, further ones are refused."
        yield _problem("critical", "calls", "penstockd", text)
    ended = sum(last_minute.values())
    failed = {code: last_minute[code] for code in FAULTS if last_minute.get(code)}
    if ended >= ENOUGH_CALLS and sum(failed.values()) >= TOO_MANY_ERRORS * ended:
        worst = max(failed, key=lambda code: failed[code])
        text = f"{sum(failed.values()) / ended:.0%} of the last minute's calls failed, most with {worst}."
        yield _problem("critical", "calls", "penstockd", text)


def _of_strangers(last_minute: Mapping[str, int]) -> Iterator[Problem]:
    if (strangers := last_minute.get("UNAUTHENTICATED", 0)) >= ENOUGH_CALLS:
        text = f"{strangers} calls of the last minute showed no valid credentials."
        yield _problem("warning", "calls", "callers", text)


def _of_the_daemon(loop_lag: Summary, dropped: int) -> Iterator[Problem]:
    if loop_lag.p99 is not None and loop_lag.p99 >= LONG_LAG:
        text = (
            f"The event loop comes up to {loop_lag.p99 * 1000:.0f} ms late: the daemon lacks CPU, or an agent blocks."
        )
        yield _problem("warning", "daemon", "penstockd", text)
    if dropped:
        text = f"{_plural(dropped, 'piece')} of telemetry dropped in the last five minutes."
        yield _problem("warning", "telemetry", "penstockd", text)


def _is_usable(model: ModelRow) -> bool:
    """Whether a call may be made of it, if only a probe."""
    is_let_in = model.state in {"closed", "half_open"} or (model.state == "open" and model.next_probe_in is None)
    return is_let_in and model.cooldown is None


def _percent(fraction: float) -> str:
    """Rounded down, as the page and `penstock top` do: what is not whole is not called so."""
    decimals = 1 if 0 < fraction < 0.1 else 0
    unit = 10**decimals
    return f"{floor(round(100 * fraction * unit, 6)) / unit:.{decimals}f}%"


def _words(cause: str) -> str:
    return cause.replace("_", " ")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _problem(severity: Severity, what: str, subject: str, text: str) -> Problem:
    return Problem(severity=severity, what=what, subject=subject, text=text)
