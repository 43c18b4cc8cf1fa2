"""The tenants, limits and budgets that matter most are shown, and never all of them."""

from fakes.demands import standing
from penstockd.metrics.recent import Key, Reading
from penstockd.snapshot.tenants import MOST, budget_rows, limit_rows, tenant_rows

RULE = "60/m requests"


def test_limits_that_deny_now_come_first() -> None:
    """However many denials another had once."""
    old, new, shadow = (
        (tenant, "user", RULE, is_shadow)
        for tenant, is_shadow in (("old", "false"), ("new", "false"), ("shade", "true"))
    )

    rows = limit_rows(Reading(counts={"denied": {old: 900, new: 5, shadow: 1}}), Reading(counts={"denied": {new: 5}}))

    assert [(row.tenant, row.denials, row.denials_last_minute) for row in rows] == [
        ("new", 5, 5),
        ("old", 900, 0),
        ("shade", 1, 0),
    ]
    assert [row.shadow for row in rows] == [False, False, True]
    assert (rows[0].rule, rows[0].per) == (RULE, "user")


def test_a_limit_is_shown_with_what_it_let_pass_of_late() -> None:
    """Or what it may have, where too many rules are counted to tell it apart."""
    rules = [("acme", "tenant", rule, "false") for rule in ("2 USD per day", "9 USD per month", RULE)]
    counted, uncounted, limit = rules
    others = ("acme", "tenant", "other USD", "false")
    now = Reading(counts={"denied": dict.fromkeys(rules, 9), "admitted": {counted: 900, limit: 900}})

    rows = limit_rows(now, Reading(counts={"denied": {counted: 3, uncounted: 2}, "admitted": {counted: 5, others: 7}}))

    assert [(row.rule, row.admissions_last_minute) for row in rows] == [
        ("2 USD per day", 5),
        ("9 USD per month", 7),
        (RULE, 0),
    ]


def test_a_tenant_is_shown_with_all_that_is_known_of_it() -> None:
    """Calls by how they ended, and money; what nobody did who is known is no tenant's."""
    now = Reading(
        counts={
            "ended": {
                ("acme", "OK", ""): 5,
                ("acme", "UNAVAILABLE", "OVERLOADED"): 1,
                ("acme", "UNAVAILABLE", "DRAINING"): 1,
                ("acme", "RESOURCE_EXHAUSTED", "RATE_LIMITED"): 3,
                ("", "UNAUTHENTICATED", "UNAUTHENTICATED"): 9,
            },
            "denied": {("acme", "user", RULE, "false"): 2, ("acme", "tenant", RULE, "false"): 1},
            "cost": {("acme", "fast", "false"): 70, ("acme", "slow", "true"): 30},
        }
    )

    (row,) = tenant_rows(now, Reading(counts={"ended": {("acme", "OK", ""): 4}}))

    assert (row.calls, row.errors, row.denials, row.cost_nanousd, row.calls_last_5m) == (10, 2, 3, 100, 4)


def test_a_tenants_denials_are_those_of_its_limits() -> None:
    """Whatever status its callers were told; a shadow has denied nothing."""
    denied: dict[Key, int] = {("acme", "tenant", RULE, "false"): 4, ("acme", "user", RULE, "true"): 90}
    now = Reading(counts={"ended": {("acme", "INVALID_ARGUMENT", "INVALID_REQUEST"): 4}, "denied": denied})

    (row,) = tenant_rows(now, Reading())

    assert row.denials == sum(limit.denials for limit in limit_rows(now, Reading()) if not limit.shadow) == 4


def test_the_busiest_tenants_are_shown_and_the_others_as_one() -> None:
    """Nothing is lost."""
    counts: dict[Key, int] = {(f"tenant-{number:02}", "OK", ""): number + 1 for number in range(MOST + 5)}
    counts["other", "OK", ""] = 1000

    rows = tenant_rows(Reading(counts={"ended": counts}), Reading())

    assert len(rows) == MOST + 1
    assert rows[0].tenant == f"tenant-{MOST + 4:02}"
    assert (rows[-1].tenant, rows[-1].calls) == ("other", 1000 + 1 + 2 + 3 + 4 + 5)
    assert sum(row.calls for row in rows) == sum(counts.values())


def test_the_fullest_budgets_are_shown() -> None:
    """By what is spent and held."""
    standings = [standing(limit=100, spent=number, held=1, tenant=f"t{number}") for number in range(MOST + 5)]

    rows = budget_rows(standings)

    assert len(rows) == MOST
    assert (rows[0].tenant, rows[0].fraction) == (f"t{MOST + 4}", (MOST + 5) / 100)
