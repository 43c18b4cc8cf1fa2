"""What is wrong is said in a sentence, worst first."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fakes.clock import FakeClock
from fakes.scripted_model import ScriptedModel
from fakes.snapshots import SNAPSHOT
from penstockd.metrics.distribution import Distribution, Summary
from penstockd.metrics.recent import Key, Reading
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.snapshot.counters import LOOP_LAG
from penstockd.snapshot.pool import model_rows
from penstockd.snapshot.problems import DAY, MOST, problems
from penstockd.snapshot.shape import (
    BudgetRow,
    LedgerRow,
    LimitRow,
    ModelRow,
    Problem,
    Ready,
    Snapshot,
    Summaries,
)

NOTHING = Summary(count=0)
LEDGER = LedgerRow(failing=False, fault="", waiting=0, commit=Summaries(since_start=NOTHING, last_5m=NOTHING))
CALLS = replace(msgspec.convert(SNAPSHOT, Snapshot).calls, in_flight=3, limit=10)
FAST = ModelRow(
    name="fast",
    provider="openai",
    upstream="gpt",
    state="closed",
    cause="",
    in_flight=0,
    max_in_flight=10,
    error_rate=0.0,
    blameless=0.0,
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
WELL = replace(
    msgspec.convert(SNAPSHOT, Snapshot),
    ready=Ready(ok=True, reasons=[]),
    ledger=LEDGER,
    models=[FAST, STRONG],
    budgets=[BUDGET],
    limits=[],
    calls=CALLS,
    certificate_expires_at=None,
)
LIMIT = LimitRow(
    rule="60/m requests",
    per="tenant",
    tenant="acme",
    shadow=False,
    denials=9,
    denials_last_minute=7,
    admissions_last_minute=100,
)


def ended(**codes: int) -> Reading:
    """What was counted where calls of nobody who is known ended like this, each code for the reason of its name."""
    return counted(code={(code,): count for code, count in codes.items()}, **of_tenants({"": codes}).counts)


def of_tenants(tenants: Mapping[str, Mapping[str, int]]) -> Reading:
    """What was counted where each one's calls ended like this: by code, or by a reason that means UNAVAILABLE."""
    codes = {"OK", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED"}
    return counted(
        ended={
            (tenant, reason if reason in codes else "UNAVAILABLE", reason): count
            for tenant, reasons in tenants.items()
            for reason, count in reasons.items()
        }
    )


def counted(**kinds: Mapping[Key, int]) -> Reading:
    """What was counted."""
    return Reading(counts=kinds)


def lagging(*seconds: float) -> Reading:
    """What was measured where the event loop was so late."""
    distribution = Distribution(counts=[len(seconds)], smallest=min(seconds), largest=max(seconds), sum=sum(seconds))
    return Reading(distributions={LOOP_LAG: distribution})


def found(**parts: Any) -> list[Problem]:  # noqa: ANN401
    """The problems of a daemon that is well but for `parts`: of its snapshot, or what explains it."""
    why: dict[str, Any] = {"attempts": {}, "last_minute": ended(OK=100), "lately": Reading(), "refused": ""}
    why |= {name: parts.pop(name) for name in why.keys() & parts.keys()}
    return problems(replace(WELL, **parts), **why)


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


@pytest.mark.parametrize(
    ("denied", "admitted", "severity", "how_many"),
    [
        (60, 0, "critical", "as were all 60 in the last minute"),
        (60, 1, "warning", "60 in the last minute"),
        (2, 0, "warning", "2 in the last minute"),
    ],
)
def test_a_budget_that_lets_no_call_pass_is_as_good_as_used_up(
    denied: int, admitted: int, severity: str, how_many: str
) -> None:
    """Whatever is left of it, and however much that is; one or two too dear calls at night say nothing."""
    denial = replace(LIMIT, rule=BUDGET.rule, denials_last_minute=denied, admissions_last_minute=admitted)

    assert told(budgets=[replace(BUDGET, spent_nanousd=9, fraction=0.9)], limits=[denial]) == [
        (
            severity,
            (
                "acme has used 90% of its budget of 10 USD per month: calls that may cost more than is left are "
                f"refused, {how_many}."
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


def test_tenants_that_are_not_told_apart_are_not_called_one_that_is_other() -> None:
    """Nor are rules whose texts are not known any more."""
    crowd = replace(LIMIT, tenant="other", rule="other")
    limits = [crowd, replace(crowd, per="user", rule="other USD"), replace(LIMIT, rule="other")]

    assert [text for _, text in told(limits=limits)] == [
        "Tenants without a label of their own are being denied by limits: 7 denials in the last minute.",
        (
            "Callers of tenants without a label of their own (per user) are being denied by budgets: 7 denials in the "
            "last minute."
        ),
        "acme is being denied by limits: 7 denials in the last minute.",
    ]


def test_a_model_without_a_price_is_named() -> None:
    """What is missing is one line of the configuration, and nothing else says whose."""
    (problem, _) = found(last_minute=counted(unpriced={("own",): 1200, ("rented",): 1}))

    assert (problem.severity, problem.what, problem.subject) == ("warning", "price", "own")
    assert problem.text == "Model own has no known price: calls on a budget are refused, 1200 in the last minute."


def test_a_full_daemon_is_critical() -> None:
    """It sheds whoever comes next."""
    text = "The daemon is full: 10 of 10 calls in flight, further ones are refused."
    shed = counted(shed={(): 240})

    assert told(calls=replace(CALLS, in_flight=10)) == [("critical", text)]
    assert told(calls=replace(CALLS, in_flight=10), last_minute=shed) == [
        ("critical", f"{text} 240 calls of the last minute found no room.")
    ]


def test_a_daemon_that_was_full_is_told_of() -> None:
    """Between two looks there may be room; what gave none is the limit that the sentence names."""
    text = "The daemon was full: `server.max_in_flight` is 10. 1 call of the last minute found no room."

    assert told(last_minute=counted(shed={(): 1})) == [("warning", text)]


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
    assert told(last_minute=ended(**codes)) == expected


@pytest.mark.parametrize(
    ("last_minute", "lately", "expected"),
    [
        ({"INTERNAL": 3}, {"INTERNAL": 3}, "3 of the 3 calls of the last five minutes failed, most with INTERNAL."),
        (
            {},
            {"OK": 4, "DEADLINE_EXCEEDED": 3, "UNAVAILABLE": 1},
            "4 of the 8 calls of the last five minutes failed, most with DEADLINE_EXCEEDED.",
        ),
        ({"INTERNAL": 2}, {"INTERNAL": 2}, ""),
        ({"INTERNAL": 3}, {"INTERNAL": 3, "OK": 4}, ""),
        ({"OK": 10}, {"OK": 10, "INTERNAL": 90}, ""),
        ({"OK": 1}, {"OK": 1, "INTERNAL": 90}, ""),
        (
            {"OK": 8, "INTERNAL": 1},
            {"OK": 8, "INTERNAL": 9},
            "9 of the 17 calls of the last five minutes failed, most with INTERNAL.",
        ),
        ({}, {"RESOURCE_EXHAUSTED": 9}, ""),
    ],
)
def test_failures_of_few_calls_are_told_of(
    last_minute: Mapping[str, int], lately: Mapping[str, int], expected: str
) -> None:
    """Where hardly anybody calls, all may go wrong for hours without ten calls in any minute; until none fails."""
    wanted = [("warning", expected)] if expected else []

    assert told(last_minute=ended(**last_minute), lately=ended(**lately)) == wanted


@pytest.mark.parametrize(
    ("failures", "hurt"),
    [
        ({"big": (100, 2000), "initech": (2, 2)}, " Worst off: 100 of big's 2000 calls."),
        ({"big": (20, 90), "initech": (100, 300), "globex": (90, 200)}, " Worst off: 100 of initech's 300 calls."),
        (
            {"other": (30, 70), "initech": (3, 9)},
            " Worst off: 30 of the 70 calls of tenants without a label of their own.",
        ),
        ({"initech": (2, 10)}, ""),
        ({"": (30, 80)}, ""),
    ],
)
def test_worst_off_is_of_whom_most_calls_fail(failures: Mapping[str, tuple[int, int]], hurt: str) -> None:
    """If it is a few; calls of nobody who is known are nobody's that could be asked."""
    calls = {tenant: {"OK": ended - failed, "INTERNAL": failed} for tenant, (failed, ended) in failures.items()}

    [problem] = found(last_minute=of_tenants(calls))

    assert problem.text.endswith(f"of the last minute's calls failed, most with INTERNAL.{hurt}")


def test_a_victim_is_named_with_its_own_cause() -> None:
    """By the number of calls that failed for what is named; who fails for another reason has a sentence."""
    calls = {
        "globex": {"INTERNAL": 15},
        "initech": {"OK": 400, "OVERLOADED": 230, "MODELS_UNAVAILABLE": 10, "RESOURCE_EXHAUSTED": 10},
        "acme": {"OK": 290, "MODELS_UNAVAILABLE": 50, "INTERNAL": 20},
    }

    assert told(last_minute=of_tenants(calls)) == [
        (
            "critical",
            "31% of the last minute's calls failed, most with OVERLOADED. Worst off: 230 of initech's 650 calls.",
        ),
        ("warning", "15 of globex's 15 calls failed in the last minute, most with INTERNAL."),
    ]


def test_most_is_more_than_half() -> None:
    """Of several causes none is called the one."""
    calls = {"a": {"OVERLOADED": 20, "INTERNAL": 19, "MODELS_UNAVAILABLE": 11}, "b": {"OK": 50}}

    assert told(last_minute=of_tenants(calls)) == [
        (
            "critical",
            "50% of the last minute's calls failed, 20 of them with OVERLOADED. Worst off: 20 of a's 50 calls.",
        )
    ]


def test_a_tenant_of_whose_calls_all_fail_is_named_though_all_others_do_well() -> None:
    """Of a large daemon's calls they are next to nothing."""
    [problem] = found(last_minute=of_tenants({"big": {"OK": 1800}, "small": {"INTERNAL": 44}}))

    assert (problem.severity, problem.what, problem.subject) == ("warning", "calls", "small")
    assert problem.text == "44 of small's 44 calls failed in the last minute, most with INTERNAL."


@pytest.mark.parametrize(
    ("minute", "lately", "expected"),
    [
        ({"OK": 3, "OVERLOADED": 3}, {}, "3 of small's 6 calls failed in the last minute"),
        ({"OK": 4, "OVERLOADED": 3}, {}, ""),
        ({"OVERLOADED": 2}, {"OVERLOADED": 2}, ""),
        ({"OVERLOADED": 1}, {"OK": 4, "OVERLOADED": 4}, "4 of small's 8 calls failed in the last five minutes"),
        ({"OK": 9, "OVERLOADED": 1}, {"OK": 9, "OVERLOADED": 90}, ""),
        ({"OK": 1}, {"OVERLOADED": 4}, ""),
        ({}, {"OVERLOADED": 4}, ""),
        ({"RESOURCE_EXHAUSTED": 9}, {}, ""),
    ],
)
def test_a_tenants_failures_are_told_of_while_half_of_its_calls_fail(
    minute: Mapping[str, int], lately: Mapping[str, int], expected: str
) -> None:
    """Of few calls those of five minutes count, as long as some fail; refusals are its own affair."""
    big = {"big": {"OK": 9000}}

    said = told(last_minute=of_tenants(big | {"small": minute}), lately=of_tenants(big | {"small": lately or minute}))

    assert said == ([("warning", f"{expected}, most with OVERLOADED.")] if expected else [])


def test_a_tenant_that_is_not_told_apart_is_in_a_crowd() -> None:
    """Its calls are told of with those of the others, if half of these fail; those of nobody known are not."""
    calls = {"big": {"OK": 9000}, "other": {"INTERNAL": 4}, "": {"INTERNAL": 9}}

    [problem] = found(last_minute=of_tenants(calls))

    assert problem.text == (
        "4 of the 4 calls of tenants without a label of their own failed in the last minute, most with INTERNAL."
    )


def test_a_tenants_trouble_is_its_own() -> None:
    """Where half of all calls fail for one reason, who they are of is no cause; where they fail for another it is."""
    calls = {
        "big": {"OK": 80, "MODELS_UNAVAILABLE": 200},
        "small": {"MODELS_UNAVAILABLE": 20},
        "odd": {"INTERNAL": 9, "MODELS_UNAVAILABLE": 8},
    }

    assert [problem.subject for problem in found(last_minute=of_tenants(calls))] == ["penstockd", "odd"]
    calls["big"]["OK"] = 900
    assert [problem.subject for problem in found(last_minute=of_tenants(calls))] == ["penstockd", "small", "odd"]


def test_a_worst_off_tenant_with_a_trouble_of_its_own_has_both_told() -> None:
    """One reason hurts it as it does others, another more."""
    calls = {"big": {"OK": 900, "OVERLOADED": 30}, "odd": {"INTERNAL": 50, "OVERLOADED": 40}, "b": {"OVERLOADED": 30}}

    assert [text for _, text in told(last_minute=of_tenants(calls))] == [
        "14% of the last minute's calls failed, most with OVERLOADED. Worst off: 40 of odd's 90 calls.",
        "90 of odd's 90 calls failed in the last minute, most with INTERNAL.",
        "30 of b's 30 calls failed in the last minute, most with OVERLOADED.",
    ]


def test_few_tenants_are_named_those_with_the_most_failures_first() -> None:
    """However many there are."""
    calls = {f"t{number:02}": {"INTERNAL": 3 + number} for number in range(30)}

    named = found(last_minute=of_tenants(calls | {"big": {"OK": 90_000}}))

    assert [problem.subject for problem in named] == ["t29", "t28", "t27"]


def test_strangers_are_told_of() -> None:
    """Somebody tries keys, or has let one expire; a slip or two are nothing."""
    text = "12 calls of the last minute showed no valid credentials."

    assert told(last_minute=ended(OK=1, UNAUTHENTICATED=12)) == [("warning", text)]
    assert told(last_minute=ended(UNAUTHENTICATED=2), lately=ended(UNAUTHENTICATED=2)) == []


def test_strangers_are_told_of_where_hardly_anybody_else_calls() -> None:
    """The only caller's key may have expired."""
    text = "3 of the 5 calls of the last five minutes showed no valid credentials."

    assert told(last_minute=Reading(), lately=ended(OK=2, UNAUTHENTICATED=3)) == [("warning", text)]
    assert told(last_minute=Reading(), lately=ended(OK=4, UNAUTHENTICATED=3)) == []
    assert told(last_minute=ended(OK=10), lately=ended(OK=10, UNAUTHENTICATED=90)) == []
    assert told(last_minute=ended(OK=1), lately=ended(OK=1, UNAUTHENTICATED=90)) == []
    assert told(last_minute=ended(OK=1, UNAUTHENTICATED=1), lately=ended(OK=2, UNAUTHENTICATED=3)) == [
        ("warning", text)
    ]


@pytest.mark.parametrize(
    ("succeeded", "failed", "blameless", "attempts", "expected"),
    [
        (0, 0, 44, {"deadline": 42, "insufficient_quota": 2, "cancelled": 50, "rejected": 50}, "100% deadline, 42"),
        (5, 0, 5, {"": 5, "insufficient_quota": 5}, "50% insufficient quota, 5"),
        (51, 0, 49, {"": 51, "deadline": 49}, ""),
        (0, 0, 3, {"deadline": 3}, "100% deadline, 3"),
        (0, 0, 2, {"deadline": 2}, ""),
        (0, 0, 2, {"deadline": 2, "cancelled": 9}, ""),
        (0, 4, 0, {"server_error": 4}, ""),
        (2, 4, 5, {"": 2, "server_error": 4, "tool_call": 5}, ""),
        (0, 4, 4, {"server_error": 4, "tool_call": 4}, "50% tool call, 4"),
        (0, 4, 4, {"malformed": 400, "tool_call": 4}, "50% tool call, 4"),
    ],
)
def test_a_model_that_is_asked_in_vain_is_named(
    succeeded: int, failed: int, blameless: int, attempts: Mapping[str, int], expected: str
) -> None:
    """Nobody is to blame where it hangs or is not paid for, so no circuit opens, and another model may hide it.

    What may open its circuit is told of when it does.
    """
    models = [asked(succeeded=succeeded, failed=failed, blameless=blameless), STRONG]
    share, _, reason = expected.partition(" ")
    remedy = "; a `timeouts.total` well below its callers' deadlines opens it" if "deadline" in reason else ""
    text = (
        f"Model fast is asked in vain: {share} of its attempts come to nothing by nobody's fault, most with {reason} "
        f"in the last half minute. No circuit opens for that: see `attempts` of `call finished`{remedy}."
    )

    said = told(models=models, attempts={("fast", reason): count for reason, count in attempts.items()})

    assert said == ([("warning", text)] if expected else [])


def asked(*, succeeded: int = 0, failed: int = 0, blameless: int = 0) -> ModelRow:
    """The row of a model whose breaker was told so; its circuit is closed."""
    model = ScriptedModel("fast", clock=FakeClock(), policy=BreakerPolicy()).model
    for _ in range(blameless):
        model.breaker.came_to_nothing()
    for verdicts, tell in ((succeeded, model.breaker.succeeded), (failed, partial(model.breaker.failed, cause="503"))):
        for _ in range(verdicts):
            ticket = model.breaker.admit()
            assert ticket
            tell(ticket)
    [row] = model_rows([model], Reading(), Reading())
    assert row.state == "closed"
    return row


def test_a_model_is_asked_in_vain_whatever_else_ails_it() -> None:
    """One that hangs fills up; one that is open or cooling down is not asked."""
    vain = asked(blameless=10)
    attempts = {("fast", "deadline"): 10, ("strong", "deadline"): 10}

    def subjects(**changes: Any) -> list[str]:  # noqa: ANN401
        return [each.what for each in found(models=[replace(vain, **changes), STRONG], attempts=attempts)]

    assert subjects(in_flight=vain.max_in_flight) == ["circuit", "attempts"]
    assert subjects(state="open", cause="timeout") == subjects(cooldown=2.0) == ["circuit"]


def test_a_late_loop_is_told_of() -> None:
    """It means that somebody starves."""
    text = "The event loop came up to 400 ms late in the last five minutes: the daemon lacks CPU, or an agent blocks."

    assert told(lately=lagging(*[0.4] * 100)) == [("warning", text)]
    assert told(lately=lagging(0.2)) == []


def test_a_loop_that_stood_still_is_told_of() -> None:
    """Once is enough: nothing was answered meanwhile, health included."""
    text = (
        "The event loop stood still for 2.9 s within about the last minute, and all calls with it: the daemon lacks "
        "CPU, an agent blocks, or the machine stood still."
    )

    assert told(last_minute=lagging(0.0, 2.94), lately=lagging(0.4)) == [("warning", text)]
    assert told(last_minute=lagging(0.99)) == []


def test_lost_telemetry_is_told_of_by_whoever_does_not_take_it() -> None:
    """The collector has nothing to do with the log."""
    lost = ["7 log lines dropped", "535 spans and 1 metric export dropped"]
    takers = ["whoever reads standard error", "the collector"]

    assert told(lately=counted(dropped={("metrics",): 1, ("spans",): 535, ("logs",): 7})) == [
        ("warning", f"{what} in the last five minutes: {taker} does not keep up, or is not there.")
        for what, taker in zip(lost, takers, strict=True)
    ]


@pytest.mark.parametrize(
    ("left", "severity", "when"),
    [
        (14 * DAY - 1, "warning", "expires in 13 d"),
        (2 * DAY, "warning", "expires in 2 d"),
        (2 * DAY - 1, "critical", "expires in 47 h"),
        (5399, "critical", "expires in 89 min"),
        (0, "critical", "expired 0 min ago"),
        (-3 * DAY, "critical", "expired 3 d ago"),
    ],
)
def test_a_certificate_that_is_due_is_told_of(left: float, severity: str, when: str) -> None:
    """Whoever has no Prometheus would hear of it from callers."""
    ((said, text),) = told(certificate_expires_at=WELL.at + left)

    assert said == severity
    assert text == (
        f"The certificate of the main port {when}, and callers refuse an expired one. "
        "Put a new one and its key in the place of their files: they are used from the next handshake on."
    )


def test_a_certificate_that_is_good_for_long_is_not_worth_a_word() -> None:
    """Nor is none."""
    assert told(certificate_expires_at=WELL.at + 14 * DAY) == told(certificate_expires_at=None) == []


def test_the_worst_comes_first_and_there_are_only_so_many() -> None:
    """Whoever is woken reads from the top."""
    many = [replace(LIMIT, tenant=f"tenant-{number}") for number in range(2 * MOST)]

    severities = [problem.severity for problem in found(limits=many, ledger=replace(LEDGER, failing=True))]

    assert severities == ["critical"] + ["warning"] * (MOST - 1)
