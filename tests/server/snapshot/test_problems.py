"""What is wrong is said in a sentence, worst first."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from penstockd.metrics.distribution import Summary
from penstockd.snapshot.problems import MOST, problems
from penstockd.snapshot.shape import BudgetRow, Calls, LedgerRow, LimitRow, ModelRow, Problem, Ready, Summaries

NOTHING = Summary(count=0)
LEDGER = LedgerRow(failing=False, fault="", waiting=0, commit=Summaries(since_start=NOTHING, last_5m=NOTHING))
CALLS = Calls(in_flight=3, limit=10, total=0, by_code={}, last_5m_by_code={})
FAST = ModelRow(
    name="fast",
    provider="openai",
    upstream="gpt",
    state="closed",
    cause="",
    in_flight=0,
    max_in_flight=10,
    error_rate=0.0,
    ttft=None,
    next_probe_in=None,
    cooldown=None,
    calls=0,
    calls_last_5m=0,
    cost_nanousd=0,
)
STRONG = replace(FAST, name="strong")
BUDGET = BudgetRow(
    tenant="acme",
    rule="10 USD per month",
    shadow=False,
    limit_nanousd=10,
    spent_nanousd=0,
    held_nanousd=0,
    fraction=0.0,
    resets_at=1,
)
LIMIT = LimitRow(rule="60/m requests", per="tenant", tenant="acme", shadow=False, denials=9, denials_last_minute=7)


def found(**parts: Any) -> list[Problem]:  # noqa: ANN401
    """The problems of a daemon that is well but for `parts`."""
    well: dict[str, Any] = {
        "ready": Ready(ok=True, reasons=[]),
        "ledger": LEDGER,
        "models": [FAST, STRONG],
        "budgets": [BUDGET],
        "limits": [],
        "calls": CALLS,
        "last_minute": {"OK": 100},
        "unpriced": {},
        "loop_lag": NOTHING,
        "dropped": 0,
        "refused": "",
    }
    return problems(**{**well, **parts})


def told(**parts: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Their severities and sentences."""
    return [(problem.severity, problem.text) for problem in found(**parts)]


def test_nothing_is_wrong_when_all_is_well() -> None:
    """Silence is worth something only if it can be trusted."""
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "severity", "text"),
    [
        (
            {"state": "open", "cause": "connect_failed", "next_probe_in": 4.2},
            "warning",
            "Model fast is open: connect failed. Next probe in 5 s.",
        ),
        ({"state": "open", "cause": "timeout"}, "warning", "Model fast is open: timeout. Its next call probes it."),
        ({"state": "half_open", "cause": "timeout"}, "warning", "Model fast is being probed after timeout."),
        ({"state": "disabled"}, "notice", "Model fast was disabled by an operator."),
        ({"cooldown": 11.5}, "warning", "Model fast is rate-limited upstream for 12 s more."),
        ({"in_flight": 10}, "warning", "Model fast is full: 10 of 10 in flight."),
    ],
)
def test_a_model_that_cannot_take_calls_is_named(changes: Mapping[str, Any], severity: str, text: str) -> None:
    """With why, and until when."""
    assert told(models=[replace(FAST, **changes), STRONG]) == [(severity, text)]


def test_a_pool_without_a_usable_model_is_critical() -> None:
    """It stands above the models that it consists of."""
    dead = [replace(FAST, state="open", cause="timeout", next_probe_in=4.0), replace(STRONG, cooldown=5.0)]

    assert [problem.subject for problem in found(models=dead)] == ["pool", "fast", "strong"]
    assert found(models=dead)[0].severity == "critical"


def test_a_model_that_waits_for_its_probe_can_be_used() -> None:
    """Where nobody calls, a circuit stays open; the next call may well be answered."""
    due = replace(FAST, state="open", cause="timeout")

    assert [problem.subject for problem in found(models=[due])] == ["fast"]


def test_a_failing_ledger_is_critical() -> None:
    """Its fault is named, and who waits; that the daemon is not ready then needs no second line."""
    ledger = replace(LEDGER, failing=True, fault="disk full", waiting=1)

    (problem,) = found(ledger=ledger, ready=Ready(ok=False, reasons=["ledger"]))

    assert problem.severity == "critical"
    assert problem.text == "The ledger cannot be written: disk full. Calls are refused. 1 row waiting."


def test_other_reasons_against_readiness_are_said() -> None:
    """Such as a drain."""
    assert told(ready=Ready(ok=False, reasons=["draining"])) == [("warning", "Not ready: draining.")]


def test_a_configuration_that_was_refused_is_told_of() -> None:
    """Nothing shows it in how calls end, and the next restart would find it first."""
    (problem,) = found(refused="models.a.provider")

    assert (problem.severity, problem.what) == ("warning", "configuration")
    assert problem.text == (
        "The configuration on disk was refused: models.a.provider. "
        "The one before is in use, but a restart would fail: mend what penstockd check says, then reload."
    )


@pytest.mark.parametrize(
    ("spent", "fraction", "expected"),
    [
        (7, 0.79, []),
        (8, 0.85, [("warning", "acme has used 85% of its budget of 10 USD per month.")]),
        (8, 1.0, [("warning", "acme has used 100% of its budget of 10 USD per month.")]),
        (10, 1.0, [("critical", "acme has used up its budget of 10 USD per month; its calls are refused.")]),
    ],
)
def test_budgets_are_told_of_before_they_are_used_up(
    spent: int, fraction: float, expected: Sequence[tuple[str, str]]
) -> None:
    """What is only held comes back, perhaps."""
    assert told(budgets=[replace(BUDGET, spent_nanousd=spent, fraction=fraction)]) == expected


@pytest.mark.parametrize(
    ("spent", "fraction", "used", "severity"),
    [
        (1, 0.0588, "5.8%", "warning"),
        (1, 0.1, "10%", "warning"),
        (9, 0.948, "94%", "warning"),
        (9, 0.9, "90%", "warning"),
        (9, 0.9999, "99%", "critical"),
    ],
)
def test_a_budget_that_denies_is_not_called_used_up_before_it_is(
    spent: int, fraction: float, used: str, severity: str
) -> None:
    """What is left may be too little for one call and enough for others; in its last hundredth, hardly for any."""
    denial = replace(LIMIT, rule=BUDGET.rule)
    budget = replace(BUDGET, spent_nanousd=spent, fraction=fraction)

    assert told(budgets=[budget], limits=[denial]) == [
        (
            severity,
            (
                f"acme has used {used} of its budget of 10 USD per month: calls that may cost more than is left are "
                "refused, 7 in the last minute."
            ),
        )
    ]


def test_denials_of_budgets_are_told_of_once() -> None:
    """A budget that is used up needs no second line; those of users, of which nothing else is known, have their own."""
    denial = replace(LIMIT, rule=BUDGET.rule)
    used_up = replace(BUDGET, spent_nanousd=10, fraction=1.0)

    assert told(budgets=[used_up], limits=[denial]) == [
        ("critical", "acme has used up its budget of 10 USD per month; its calls are refused.")
    ]
    assert [severity for severity, _ in told(budgets=[BUDGET], limits=[replace(denial, per="user")])] == ["warning"]


def test_a_shadow_that_is_used_up_refuses_nothing() -> None:
    """It is there to be looked at."""
    assert told(budgets=[replace(BUDGET, shadow=True, spent_nanousd=20, fraction=2.0)]) == []


def test_who_is_being_denied_is_named() -> None:
    """With the rule that does it; shadows deny nothing, and what was denied long ago is over."""
    limits = [
        LIMIT,
        replace(LIMIT, per="user", denials_last_minute=1),
        replace(LIMIT, shadow=True),
        replace(LIMIT, denials_last_minute=0),
    ]

    assert [text for _, text in told(limits=limits)] == [
        "acme is being denied by 60/m requests: 7 denials in the last minute.",
        "Callers of acme (per user) are being denied by 60/m requests: 1 denial in the last minute.",
    ]


def test_a_model_without_a_price_is_named() -> None:
    """What is missing is one line of the configuration, and nothing else says whose."""
    (problem, _) = found(unpriced={"own": 1200, "rented": 1})

    assert (problem.severity, problem.what, problem.subject) == ("warning", "price", "own")
    assert problem.text == "Model own has no known price: calls on a budget are refused, 1200 in the last minute."


def test_a_full_daemon_is_critical() -> None:
    """It sheds whoever comes next."""
    text = "The daemon is full: 10 of 10 calls in flight, further ones are refused."

    assert told(calls=replace(CALLS, in_flight=10)) == [("critical", text)]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ({"OK": 9, "INTERNAL": 1}, [("critical", "10% of the last minute's calls failed, most with INTERNAL.")]),
        ({"OK": 8, "INTERNAL": 1}, []),
        ({"OK": 96, "INTERNAL": 4}, []),
        ({"OK": 50, "RESOURCE_EXHAUSTED": 50}, []),
    ],
)
def test_failing_calls_are_told_of(codes: Mapping[str, int], expected: Sequence[tuple[str, str]]) -> None:
    """From one in twenty, of enough calls to say so; denials are the callers' affair."""
    assert told(last_minute=codes) == expected


def test_strangers_are_told_of() -> None:
    """Somebody tries keys, or has let one expire; a slip or two are nothing."""
    text = "12 calls of the last minute showed no valid credentials."

    assert told(last_minute={"OK": 1, "UNAUTHENTICATED": 12}) == [("warning", text)]
    assert told(last_minute={"UNAUTHENTICATED": 2}) == []


def test_a_late_loop_and_lost_telemetry_are_told_of() -> None:
    """Both mean that somebody starves."""
    late = Summary(count=100, p99=0.4)

    assert [problem.what for problem in found(loop_lag=late, dropped=3)] == ["daemon", "telemetry"]


def test_the_worst_comes_first_and_there_are_only_so_many() -> None:
    """Whoever is woken reads from the top."""
    many = [replace(LIMIT, tenant=f"tenant-{number}") for number in range(2 * MOST)]

    severities = [problem.severity for problem in found(limits=many, ledger=replace(LEDGER, failing=True))]

    assert severities == ["critical"] + ["warning"] * (MOST - 1)
