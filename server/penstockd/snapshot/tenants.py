"""The tenants, and what their limits and budgets do, as the snapshot shows them: the few that matter most."""

from collections import Counter
from collections.abc import Iterable
from heapq import nlargest

from penstockd.budgets import Standing
from penstockd.metrics.instruments import OTHER
from penstockd.metrics.recent import Reading
from penstockd.metrics.rule_labels import untold
from penstockd.snapshot.endings import by_tenant
from penstockd.snapshot.shape import BudgetRow, LimitRow, TenantRow

MOST = 20


def limit_rows(now: Reading, last_minute: Reading) -> list[LimitRow]:
    """The rules that have denied, those that did in the last minute first."""
    denied, admitted = last_minute.of("denied"), last_minute.of("admitted")

    def admissions(tenant: str, per: str, rule: str, shadow: str) -> int:
        """Where too many were counted to tell this one's apart, what may be of others too."""
        known = admitted.get((tenant, per, rule, shadow), 0)
        return known or admitted.get((tenant, per, untold(rule), shadow), 0)

    rows = [
        LimitRow(
            rule=rule,
            per=per,
            tenant=tenant,
            shadow=shadow == "true",
            denials=denials,
            denials_last_minute=denied.get((tenant, per, rule, shadow), 0),
            admissions_last_minute=admissions(tenant, per, rule, shadow),
        )
        for (tenant, per, rule, shadow), denials in now.of("denied").items()
    ]
    return nlargest(MOST, rows, key=lambda row: (row.denials_last_minute, row.denials))


def tenant_rows(now: Reading, lately: Reading) -> list[TenantRow]:
    """The tenants with the most calls of late, and after them what all others have done."""
    rows = {row.tenant: row for row in _tenants(now, lately)}
    others = rows.pop(OTHER, None)
    busiest = nlargest(MOST, rows.values(), key=lambda row: (row.calls_last_5m, row.calls))
    rest = [row for row in rows.values() if row not in busiest]
    if others is not None or rest:
        busiest.append(_together([*rest, *filter(None, [others])]))
    return busiest


def budget_rows(standings: Iterable[Standing]) -> list[BudgetRow]:
    """The budgets that are used up furthest."""
    fullest = nlargest(MOST, standings, key=lambda standing: standing.fraction)
    return [
        BudgetRow(
            tenant=standing.demand.tenant,
            rule=standing.demand.rule,
            shadow=standing.demand.is_shadow,
            limit_nanousd=standing.demand.limit,
            spent_nanousd=standing.state.spent,
            held_nanousd=standing.state.held,
            fraction=standing.fraction,
            resets_at=standing.demand.resets_at,
        )
        for standing in fullest
    ]


def _tenants(now: Reading, lately: Reading) -> Iterable[TenantRow]:
    calls, calls_lately, cost = by_tenant(now), lately.by("ended"), now.by("cost")
    denied = Counter[str]()
    for (tenant, _, _, shadow), denials in now.of("denied").items():
        denied[tenant] += denials if shadow == "false" else 0
    for tenant in filter(None, calls.keys() | denied.keys() | cost.keys()):
        yield TenantRow(
            tenant=tenant,
            calls=calls[tenant].ended if tenant in calls else 0,
            errors=calls[tenant].failed if tenant in calls else 0,
            denials=denied[tenant],
            cost_nanousd=cost.get(tenant, 0),
            calls_last_5m=calls_lately.get(tenant, 0),
        )


def _together(rows: Iterable[TenantRow]) -> TenantRow:
    rows = list(rows)
    return TenantRow(
        tenant=OTHER,
        calls=sum(row.calls for row in rows),
        errors=sum(row.errors for row in rows),
        denials=sum(row.denials for row in rows),
        cost_nanousd=sum(row.cost_nanousd for row in rows),
        calls_last_5m=sum(row.calls_last_5m for row in rows),
    )
