"""Every attempt at a model is measured once, whatever came of it."""

from collections.abc import Sequence

import pytest

from fakes.calls import a_call
from fakes.clock import FakeClock
from fakes.metering import INPUT, PRICE, MeteredCalls
from fakes.model_calls import Asked
from fakes.scripted_model import HANGS, ScriptedModel
from fakes.telescope import Point
from penstockd.metrics.attempt_metrics import AttemptMetrics
from penstockd.metrics.instruments import MOST_SERIES, Instruments
from penstockd.metrics.tenant_labels import TenantLabels
from penstockd.outcome import Attempt, Outcome
from penstockd.principal import Principal
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.upstream import Broken, CoolingDown
from penstockd.usage import Usage

USED = Usage(uncached_input=8, output=3)
COST = PRICE.cost(USED)


def of(name: str) -> dict[str, str]:
    """The labels of a model."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": f"{name}-upstream",
        "penstock.model": name,
    }


def points(calls: MeteredCalls, name: str) -> Sequence[Point]:
    """What was measured under a name."""
    return calls.telescope.points(name)


def test_an_answer_is_measured_by_what_it_took_and_used() -> None:
    """From asking the model to the end of what it says."""
    calls = MeteredCalls()

    calls.answer(calls.model("fast", [1.0, "a", 2.0, "b", USED]))

    assert points(calls, "gen_ai.client.operation.duration") == [(of("fast"), 3.0)]
    assert points(calls, "gen_ai.client.operation.time_to_first_chunk") == [(of("fast"), 1.0)]
    assert points(calls, "gen_ai.client.token.usage") == [
        ({**of("fast"), "gen_ai.token.type": "input"}, 8),
        ({**of("fast"), "gen_ai.token.type": "output"}, 3),
    ]
    [(labels, usd)] = points(calls, "penstock.spend")
    assert labels == {"penstock.model": "fast", "penstock.tenant": "acme", "penstock.wasted": "false"}
    assert usd == pytest.approx(COST / 1e9)
    assert points(calls, "penstock.retries") == []


def test_an_answer_that_is_no_stream_has_no_first_chunk() -> None:
    """It comes all at once."""
    calls = MeteredCalls()

    calls.answer(calls.model("fast", [1.0, "a"]), streams=False)

    assert points(calls, "gen_ai.client.operation.duration") == [(of("fast"), 1.0)]
    assert points(calls, "gen_ai.client.operation.time_to_first_chunk") == []


def test_the_ledgers_commits_are_no_time_of_the_model() -> None:
    """They are ours."""
    calls = MeteredCalls()
    calls.ledger.hold_takes = calls.ledger.settle_takes = 4.0

    asked = calls.answer(calls.model("fast", [1.0, "a"]))

    assert points(calls, "gen_ai.client.operation.duration") == [(of("fast"), 1.0)]
    assert asked.seconds == 9.0


def test_a_failure_and_the_repeat_that_follows_are_told_by_the_reason() -> None:
    """What the failed attempt used is wasted money."""
    calls = MeteredCalls()
    broken = Broken("half of it is missing", reason="malformed")

    calls.answer(calls.model("fast", [2.0, USED, broken]), calls.model("strong", [1.0, "b", USED]))

    assert points(calls, "gen_ai.client.operation.duration") == [
        ({**of("fast"), "error.type": "malformed"}, 2.0),
        (of("strong"), 1.0),
    ]
    assert points(calls, "penstock.retries") == [({"penstock.model": "strong", "penstock.reason": "malformed"}, 1)]
    wasted = {
        (labels["penstock.model"], labels["penstock.wasted"]): usd for labels, usd in points(calls, "penstock.spend")
    }
    assert wasted == {("fast", "true"): pytest.approx(COST / 1e9), ("strong", "false"): pytest.approx(COST / 1e9)}


def test_a_caller_who_leaves_ends_the_attempt() -> None:
    """It is charged what it used until then."""
    calls = MeteredCalls()

    async def main() -> Asked:
        asked = await calls.cancelled(calls.model("fast", ["a", HANGS]), after=3.0)
        await calls.settled()
        return asked

    calls.run(main())

    assert points(calls, "gen_ai.client.operation.duration") == [({**of("fast"), "error.type": "cancelled"}, 3.0)]
    [(labels, usd)] = points(calls, "penstock.spend")
    assert labels["penstock.wasted"] == "true"
    assert usd == pytest.approx(PRICE.cost(Usage(uncached_input=INPUT, output=1)) / 1e9)


def test_a_model_that_was_not_asked_is_not_measured() -> None:
    """A circuit that is open lets nothing pass."""
    calls = MeteredCalls()
    shut = calls.model("shut", policy=BreakerPolicy())
    shut.model.breaker.force_open("test")

    calls.answer(shut, calls.model("fast", "a"))

    assert [labels["penstock.model"] for labels, _ in points(calls, "gen_ai.client.operation.duration")] == ["fast"]


def test_an_attempt_that_is_refused_on_the_way_is_not_measured() -> None:
    """Here the ledger takes nothing."""
    calls = MeteredCalls()
    calls.ledger.hold_fails = [OSError("unforeseen")]

    calls.answer(calls.model("fast", "a"))

    assert points(calls, "gen_ai.client.operation.duration") == []


def test_where_sets_are_too_many_only_models_are_lost() -> None:
    """Who pays, and whether for nothing, is told to the end: alerts and bills ask for it."""
    instruments = Instruments()
    metrics, clock = AttemptMetrics(instruments, TenantLabels()), FakeClock()
    models = [ScriptedModel(f"m{number}", clock=clock).model for number in range(MOST_SERIES + 2)]

    for number, model in enumerate(models):
        attempt = Attempt(model=model.name, started_at=0.0, asked_at=0.0, answered_at=1.0, cost_nanousd=7)
        attempt.is_complete = number != MOST_SERIES
        metrics.ended(a_call("hello", outcome=Outcome(principal=Principal(tenant="acme"))), model, attempt)

    [spend] = [each for each in instruments.counters if each.name == "penstock.spend"]
    told = [tuple(labels.values()) for labels, _ in spend.series]
    assert told[MOST_SERIES - 1 :] == [
        (f"m{MOST_SERIES - 1}", "acme", "false"),
        ("other", "acme", "true"),
        ("other", "acme", "false"),
    ]


def test_waits_are_told_by_what_for() -> None:
    """Here for a model that asks for patience."""
    calls = MeteredCalls()
    model = calls.model("fast", CoolingDown("later", retry_after=2.0), "a")

    asked = calls.answer(model)

    [(labels, seconds)] = points(calls, "penstock.wait.duration")
    assert labels == {"penstock.wait": "backoff"}
    assert seconds == asked.outcome.waited == pytest.approx(2.0, abs=0.5)
    assert points(calls, "penstock.retries") == [({"penstock.model": "fast", "penstock.reason": "rate_limited"}, 1)]


def test_a_model_without_a_price_costs_nothing_that_is_known() -> None:
    """Nor is there a series of zeros."""
    calls = MeteredCalls()

    calls.answer(calls.model("fast", ["a", USED], price=None))

    assert points(calls, "penstock.spend") == []
