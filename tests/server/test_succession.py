"""One runtime follows another, and whoever watches the models is told the truth about those in service."""

import time
from functools import partial

import pytest

from fakes.house import A_CHANGED, TWO, House
from penstockd import succession as module
from penstockd.resilience.circuit import State, Transition


async def test_a_replaced_model_begins_healthy(house: House) -> None:
    """Its name was not serving for its predecessor, whose late news concern nobody any more."""
    house.start()
    old = house.model("a")
    house.app.succession.changed(old, old.breaker.force_open("test"))
    assert await house.health() == {"a": False, "b": True}

    house.reload(A_CHANGED)

    assert await house.health() == {"a": True, "b": True}
    house.app.succession.changed(old, old.breaker.disable())
    assert await house.health() == {"a": True, "b": True}


async def test_a_kept_model_keeps_its_state(house: House) -> None:
    """A reload does not mend an upstream."""
    house.start()
    house.app.succession.changed(house.model("a"), house.model("a").breaker.force_open("test"))

    house.reload(TWO)

    assert house.model("a").breaker.state is State.OPEN
    assert await house.health() == {"a": False, "b": True}


async def test_every_change_of_a_circuit_is_counted_by_its_cause(house: House) -> None:
    """An operator's word is one, too."""
    house.start()
    model = house.model("a")

    for change in (partial(model.breaker.trip, "broken", 5.0), model.breaker.disable, model.breaker.enable):
        house.app.succession.changed(model, change())

    [counter] = [each for each in house.instruments.counters if each.name == "penstock.circuit.transitions"]
    assert [tuple(labels.values()) for labels, _ in counter.series] == [
        ("a", "open", "broken"),
        ("a", "disabled", "disabled"),
        ("a", "closed", "enabled"),
    ]


async def test_a_disabled_model_is_not_serving(house: House) -> None:
    """Its circuit is closed, and yet nothing passes."""
    house.start()

    house.app.succession.changed(house.model("a"), house.model("a").breaker.disable())

    assert await house.health() == {"a": False, "b": True}


async def test_changes_of_circuits_are_remembered_for_whoever_looks(house: House) -> None:
    """Not each probe, and probes that failed as one change."""
    house.start()
    model = house.model("a")

    for transition in (
        model.breaker.force_open("timeout"),
        Transition(State.OPEN, State.HALF_OPEN, "timeout"),
        Transition(State.HALF_OPEN, State.OPEN, "timeout"),
        Transition(State.OPEN, State.HALF_OPEN, "timeout"),
        Transition(State.HALF_OPEN, State.OPEN, "timeout"),
    ):
        house.app.succession.changed(model, transition)
    house.app.succession.changed(model, model.breaker.disable())

    seen = [(each.what, each.subject, each.state, each.count) for each in reversed(house.app.state.changes.latest)]
    assert seen == [("circuit", "a", "open", 3), ("circuit", "a", "disabled", 1)]


async def test_a_call_that_never_ends_does_not_keep_the_daemon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its model's connections are closed after a last chance."""
    monkeypatch.setattr(module, "LAST_CHANCE", 0.05)
    house.start()
    assert house.model("a").permits.take()
    started = time.monotonic()

    await house.app.succession.close()

    assert time.monotonic() - started < 5.0
    house.model("a").permits.release()


async def test_closing_what_was_never_used_is_fine(house: House) -> None:
    """A start that failed elsewhere ends like any other."""
    await house.app.succession.close()
