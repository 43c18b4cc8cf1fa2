"""In which order a call tries models."""

from collections import Counter
from random import Random

import pytest

from fakes.clock import FakeClock
from fakes.scripted_model import ScriptedModel
from penstockd.model import Model
from penstockd.models.route import LeastLatency, Route, Weighted, priority
from penstockd.resilience.circuit import BreakerPolicy

QUICK = BreakerPolicy(consecutive_failures=1, open_for=5.0, jitter=0.0)


@pytest.fixture
def clock() -> FakeClock:
    """The models' clock."""
    return FakeClock()


@pytest.fixture
def models(clock: FakeClock) -> list[Model]:
    """Three models: a, b and c."""
    return [ScriptedModel(name, clock=clock, policy=QUICK).model for name in "abc"]


def names(models: list[Model]) -> str:
    """Their names, one letter each."""
    return "".join(model.name for model in models)


def test_priority_is_as_configured(models: list[Model]) -> None:
    """Every call begins with the first."""
    assert names(Route(models, priority).order(streams=True)) == "abc"


def test_an_open_model_keeps_its_place(models: list[Model]) -> None:
    """The order says nothing of who may be asked."""
    models[0].breaker.force_open("test")

    assert names(Route(models, priority).order(streams=True)) == "abc"


def test_a_due_probe_comes_first_under_any_strategy(models: list[Model], clock: FakeClock) -> None:
    """A model that is never asked would never come back."""
    models[2].breaker.force_open("test")
    clock.advance(5.0)

    assert names(Route(models, priority).order(streams=True)) == "cab"
    assert names(Route(models, LeastLatency(lambda: 0.0)).order(streams=True))[0] == "c"


def test_a_probe_on_its_way_is_not_due(models: list[Model], clock: FakeClock) -> None:
    """One caller probes, the others have their usual order."""
    models[2].breaker.force_open("test")
    clock.advance(5.0)
    assert models[2].breaker.admit()

    assert names(Route(models, priority).order(streams=True)) == "abc"


def test_streams_and_whole_answers_are_ranked_apart(models: list[Model]) -> None:
    """One that was quick to begin a stream, once, is not asked for whole answers for ever."""
    a, b, _ = models
    a.first_tokens.observe(0.001)
    a.whole_answers.observe(20.0)
    b.first_tokens.observe(1.0)
    b.whole_answers.observe(2.0)
    fastest = LeastLatency(lambda: 0.0)

    assert names(fastest([a, b], streams=True)) == "ab"
    assert names(fastest([a, b], streams=False)) == "ba"


def test_weights_are_shares_of_first_places(models: list[Model]) -> None:
    """3 to 1 means three of four calls, and likewise for the second place."""
    weighted = Weighted({"a": 3.0, "b": 1.0, "c": 1e-9}, Random(1).random)

    orders = Counter(names(weighted(models, streams=True)) for _ in range(10_000))

    assert orders["abc"] / 10_000 == pytest.approx(0.75, abs=0.02)
    assert orders["bac"] / 10_000 == pytest.approx(0.25, abs=0.02)


def test_the_faster_of_two_comes_first(models: list[Model]) -> None:
    """Two are drawn, the better one leads, the rest follow best first."""
    for model, seconds in zip(models, (3.0, 2.0, 1.0), strict=True):
        model.first_tokens.observe(seconds)

    assert names(LeastLatency(lambda: 0.0)(models, streams=True)) == "bca"
    assert names(LeastLatency(lambda: 0.99)(models, streams=True)) == "cba"


def test_a_busy_model_is_slower_than_it_looks(models: list[Model]) -> None:
    """What waits before a call adds to its time."""
    for model, seconds in zip(models, (1.0, 1.5, 9.0), strict=True):
        model.first_tokens.observe(seconds)
    assert models[0].permits.take()

    assert names(LeastLatency(lambda: 0.0)(models, streams=True))[0] == "b"


def test_a_failing_model_is_slower_than_it_looks(clock: FakeClock) -> None:
    """An error costs more than its time."""
    a, b = (ScriptedModel(name, clock=clock).model for name in "ab")
    a.first_tokens.observe(1.0)
    b.first_tokens.observe(1.5)
    ticket = a.breaker.admit()
    assert ticket
    a.breaker.succeeded(ticket)
    a.breaker.failed(ticket, "test")

    assert names(LeastLatency(lambda: 0.0)([a, b], streams=True)) == "ba"


def test_a_model_never_tried_is_tried(models: list[Model]) -> None:
    """It is thought to be as fast as the fastest that is known, until somebody knows better."""
    models[0].first_tokens.observe(0.001)
    models[2].first_tokens.observe(9.0)

    assert names(LeastLatency(lambda: 0.0)(models, streams=True)) == "bac"
    assert models[1].permits.take()
    assert names(LeastLatency(lambda: 0.0)(models, streams=True)) == "abc"


def test_a_model_that_was_slow_once_is_tried_again(models: list[Model], clock: FakeClock) -> None:
    """What is known of it is worth less every minute; of those that are asked it is known anew."""
    for model, seconds in zip(models, (1.0, 0.05, 0.06), strict=True):
        model.first_tokens.observe(seconds)
    leaders = []
    for _ in range(6):
        leaders.append(names(LeastLatency(lambda: 0.0)(models, streams=True))[0])
        clock.advance(60.0)
        models[1].first_tokens.observe(0.05)
        models[2].first_tokens.observe(0.06)

    assert leaders == ["b"] * 5 + ["a"]


def test_models_never_tried_take_turns(models: list[Model]) -> None:
    """What is in flight tells them apart where nothing else does."""
    assert models[0].permits.take()

    assert names(LeastLatency(lambda: 0.0)(models, streams=True)) == "bca"


def test_a_model_that_only_fails_comes_last(models: list[Model], clock: FakeClock) -> None:
    """However fast it was, until the window has forgotten it."""
    for model, seconds in zip(models, (0.001, 5.0, 6.0), strict=True):
        model.first_tokens.observe(seconds)
    models[0].breaker.came_to_nothing()

    assert names(LeastLatency(lambda: 0.0)(models, streams=True)) == "bca"
    clock.advance(31.0)
    assert names(LeastLatency(lambda: 0.0)(models, streams=True)) == "abc"


def test_models_that_are_no_use_are_not_drawn(models: list[Model]) -> None:
    """While there is another, however they are drawn."""
    random = Random(3).random
    models[0].breaker.came_to_nothing()
    models[2].breaker.came_to_nothing()

    assert {names(LeastLatency(random)(models, streams=True)) for _ in range(200)} == {"bac"}
    models[1].breaker.came_to_nothing()
    assert {names(LeastLatency(random)(models, streams=True))[0] for _ in range(200)} == {"a", "b", "c"}


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_least_latency_loses_no_model(models: list[Model], count: int) -> None:
    """Whatever is drawn, each comes once."""
    random = Random(7).random
    for _ in range(200):
        assert sorted(names(LeastLatency(random)(models[:count], streams=True))) == sorted("abc"[:count])
