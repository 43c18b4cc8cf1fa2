"""What is wrong, of all that a snapshot shows: the causes that whoever is woken at night looks for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf

from penstockd.metrics.instruments import OTHER
from penstockd.metrics.recent import Key, Reading
from penstockd.metrics.rule_labels import OTHER_USD
from penstockd.snapshot.call_problems import of_calls, of_strangers
from penstockd.snapshot.counters import LOOP_LAG
from penstockd.snapshot.pool_problems import of_models, of_the_pool
from penstockd.snapshot.sentences import CROWD, percent, plural
from penstockd.snapshot.shape import BudgetRow, LedgerRow, LimitRow, Problem, Ready, Severity, Snapshot

NEARLY_USED_UP = 0.8
AS_GOOD_AS_USED_UP = 0.99
"""From here on, denials mean that hardly any call fits: PenstockBudgetExhausted draws the same line."""
A_FEW = 3
"""Denials with no admission beside them that mean the same, whatever is left: as for PenstockBudgetExhausted."""
LONG_LAG = 0.25
"""Seconds that the event loop comes late at its 99th percentile, from which on calls feel it."""
STALL = 1.0
"""Seconds that the event loop stands still, once."""
DAY = 86400.0
TO_BE_RENEWED, ALMOST_EXPIRED = 14 * DAY, 2 * DAY
"""Seconds until the certificate expires: PenstockCertificateExpires and -AlmostExpired draw the same lines."""
MOST = 20
_PIECES = {"logs": "log line", "spans": "span", "metrics": "metric export"}
_WORST_FIRST: dict[Severity, int] = {"critical": 0, "warning": 1, "notice": 2}


def problems(
    it: Snapshot, *, attempts: Mapping[Key, int], last_minute: Reading, lately: Reading, refused: str
) -> list[Problem]:
    """Return the problems of `it`, worst first.

    `attempts` are of the last half minute, by model and reason, and `lately` is of the last five minutes. `refused` is
    what is wrong with the configuration on disk.
    """
    found = [
        *_of_the_ledger(it.ledger),
        *of_the_pool(it.models),
        *_of_budgets(it.budgets, it.limits),
        *of_calls(it.calls, last_minute, lately),
        *of_models(it.models, attempts),
        *_of_prices(last_minute.by("unpriced")),
        *_of_tenants(it.limits, it.budgets),
        *of_strangers(last_minute, lately),
        *_of_the_certificate(it),
        *_of_the_configuration(refused),
        *_of_readiness(it.ready),
        *_of_the_loop(last_minute, lately),
        *_of_telemetry(lately.by("dropped")),
    ]
    return sorted(found, key=lambda each: _WORST_FIRST[each.severity])[:MOST]


def _of_the_configuration(refused: str) -> Iterator[Problem]:
    if refused:
        remedy = "The one before is in use, but a restart would fail: mend what penstockd check says, then reload."
        text = f"The configuration on disk was refused: {refused}. {remedy}"
        yield Problem("warning", "configuration", "configuration", text)


def _of_readiness(ready: Ready) -> Iterator[Problem]:
    for reason in ready.reasons:
        if reason != "ledger":
            yield Problem("warning", "daemon", "penstockd", f"Not ready: {reason}.")


def _of_the_ledger(ledger: LedgerRow) -> Iterator[Problem]:
    if ledger.failing:
        waiting = f" {plural(ledger.waiting, 'row')} waiting." if ledger.waiting else ""
        text = f"The ledger cannot be written: {ledger.fault or 'no reason given'}. Calls are refused.{waiting}"
        yield Problem("critical", "ledger", "ledger", text)


def _of_budgets(budgets: Sequence[BudgetRow], limits: Iterable[LimitRow]) -> Iterator[Problem]:
    """Budgets that are used up, nearly, or too little for what is asked; shadows may well be."""
    denying = {(limit.tenant, limit.rule): limit for limit in limits if _denies(limit) and limit.per == "tenant"}
    for budget in budgets:
        limit = denying.get((budget.tenant, budget.rule))
        if budget.shadow:
            continue
        if budget.spent_nanousd >= budget.limit_nanousd:
            text = f"{budget.tenant} has used up its budget of {budget.rule}; its calls are refused."
            yield Problem("critical", "budget", budget.tenant, text)
        elif limit is not None:
            refused, lets_none_pass = limit.denials_last_minute, _lets_none_pass(limit)
            text = f"{_used(budget)}: calls that may cost more than is left are refused,"
            how_many = f"as were all {refused}" if lets_none_pass else f"{refused}"
            is_as_good_as_used_up = lets_none_pass or budget.fraction >= AS_GOOD_AS_USED_UP
            severity: Severity = "critical" if is_as_good_as_used_up else "warning"
            yield Problem(severity, "budget", budget.tenant, f"{text} {how_many} in the last minute.")
        elif budget.fraction >= NEARLY_USED_UP:
            yield Problem("warning", "budget", budget.tenant, f"{_used(budget)}.")


def _used(budget: BudgetRow) -> str:
    return f"{budget.tenant} has used {percent(budget.fraction)} of its budget of {budget.rule}"


def _lets_none_pass(limit: LimitRow) -> bool:
    """Whether it denied all of some calls: one or two may just have asked too much."""
    return limit.denials_last_minute >= A_FEW and not limit.admissions_last_minute


def _of_prices(unpriced: Mapping[str, int]) -> Iterator[Problem]:
    for model, refused in unpriced.items():
        text = f"Model {model} has no known price: calls on a budget are refused, {refused} in the last minute."
        yield Problem("warning", "price", model, text)


def _of_tenants(limits: Iterable[LimitRow], budgets: Iterable[BudgetRow]) -> Iterator[Problem]:
    """Those who are denied what they ask, but for budgets, which are told of above."""
    told = {(budget.tenant, budget.rule) for budget in budgets}
    for limit in limits:
        if _denies(limit) and not (limit.per == "tenant" and (limit.tenant, limit.rule) in told):
            times = plural(limit.denials_last_minute, "denial")
            text = f"{_who_is(limit)} being denied by {_rule(limit)}: {times} in the last minute."
            yield Problem("warning", "tenant", limit.tenant, text)


def _who_is(limit: LimitRow) -> str:
    if limit.per != "tenant":
        return f"Callers of {CROWD if limit.tenant == OTHER else limit.tenant} (per {limit.per}) are"
    return f"{CROWD.capitalize()} are" if limit.tenant == OTHER else f"{limit.tenant} is"


def _rule(limit: LimitRow) -> str:
    """Which rule it is, or of which kind, where rules are not told apart."""
    return {OTHER: "limits", OTHER_USD: "budgets"}.get(limit.rule, limit.rule)


def _denies(limit: LimitRow) -> bool:
    return limit.denials_last_minute > 0 and not limit.shadow


def _of_the_certificate(it: Snapshot) -> Iterator[Problem]:
    """Callers refuse one that has expired."""
    left = inf if it.certificate_expires_at is None else it.certificate_expires_at - it.at
    if left >= TO_BE_RENEWED:
        return
    when = f"expires in {_span(left)}" if left > 0 else f"expired {_span(abs(left))} ago"
    remedy = "Put a new one and its key in the place of their files: they are used from the next handshake on."
    text = f"The certificate of the main port {when}, and callers refuse an expired one. {remedy}"
    yield Problem("critical" if left < ALMOST_EXPIRED else "warning", "certificate", "certificate", text)


def _of_the_loop(last_minute: Reading, lately: Reading) -> Iterator[Problem]:
    cause = "the daemon lacks CPU, or an agent blocks"
    longest, late = last_minute.distribution(LOOP_LAG).largest, lately.distribution(LOOP_LAG).summary().p99
    if longest >= STALL:
        causes = "the daemon lacks CPU, an agent blocks, or the machine stood still"
        when = "within about the last minute"
        text = f"The event loop stood still for {longest:.1f} s {when}, and all calls with it: {causes}."
        yield Problem("warning", "daemon", "penstockd", text)
    elif late is not None and late >= LONG_LAG:
        text = f"The event loop came up to {late * 1000:.0f} ms late in the last five minutes: {cause}."
        yield Problem("warning", "daemon", "penstockd", text)


def _of_telemetry(dropped: Mapping[str, int]) -> Iterator[Problem]:
    """By whoever has to take it; `dropped` is of the last five minutes, by signal."""
    takers = {("logs",): "whoever reads standard error", ("spans", "metrics"): "the collector"}
    for signals, taker in takers.items():
        lost = [plural(dropped[signal], _PIECES[signal]) for signal in signals if dropped.get(signal)]
        if lost:
            text = f"{' and '.join(lost)} dropped in the last five minutes: {taker} does not keep up, or is not there."
            yield Problem("warning", "telemetry", "penstockd", text)


def _span(seconds: float) -> str:
    """Write how long that is, rounded down, in the one unit that matters."""
    for unit, size in (("d", DAY), ("h", 3600)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds // 60:.0f} min"
