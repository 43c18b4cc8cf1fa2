"""One runtime follows another, and whoever watches the models is told the truth about those in service."""

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest

from fakes.certificates import self_signed
from fakes.house import A_CHANGED, TWO, House
from imported.open_models import OPEN
from peers import peer
from penstockd import succession as module
from penstockd.models.pool import DRAINED_EVERY
from penstockd.resilience.circuit import State, Transition
from penstockd.under_way import UnderWay

OWN = """
models:
  a: {provider: "imported.open_models:opened", model: m}
  b: {provider: echo, max_in_flight: 1}
agents: {default: {route: {models: [a]}}}
"""
B_CHANGED = OWN.replace("max_in_flight: 1", "max_in_flight: 2")
LOOKS = 3 * DRAINED_EVERY
"""Seconds in which whoever waits to close something has looked whether it may."""


def began(house: House) -> UnderWay:
    """Begin an answer by what is in service; return what it is counted in."""
    assert house.app.succession.present
    under_way = house.app.succession.present.under_way
    under_way.count += 1
    return under_way


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


async def test_a_circuit_that_outlives_its_models_connections_is_shown(house: House, tmp_path: Path) -> None:
    """A call of before may still open it, whom the model trusts by now or not."""
    ca = tmp_path / "ca.pem"
    self_signed(peer("openssl"), tmp_path)[0].rename(ca)
    private = TWO.replace('"http://127.0.0.1:1/v1"', f'"https://127.0.0.1:1/v1", ca: {ca}')
    house.start(private)
    old = house.model("a")
    self_signed(peer("openssl"), tmp_path, "other")[0].rename(ca)
    house.reload(private)
    assert house.model("a") is not old

    house.app.succession.changed(old, old.breaker.trip("broken", 60.0))

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
    OPEN.clear()
    house.start(OWN)
    began(house)
    started = time.monotonic()

    await house.app.succession.close()

    assert time.monotonic() - started < 5.0
    assert OPEN == []


async def test_at_the_end_answers_that_are_being_made_have_a_last_chance(house: House) -> None:
    """Their models' connections are closed as soon as they have had it."""
    OPEN.clear()
    house.start(OWN)
    [a] = OPEN
    under_way = began(house)
    closing = asyncio.ensure_future(house.app.succession.close())

    await asyncio.sleep(LOOKS)
    assert not a.closed.is_set()
    under_way.count -= 1
    await closing

    assert a.closed.is_set()


async def test_a_model_is_closed_once_nothing_is_under_way_by_any_runtime_that_had_it(house: House) -> None:
    """Work that goes on without its caller, or for one who came later, may ask it yet; two reloads are no reason."""
    OPEN.clear()
    house.start(OWN)
    [a] = OPEN
    under_way = began(house)

    house.reload(B_CHANGED)
    await asyncio.sleep(LOOKS)
    house.reload(TWO)
    await asyncio.sleep(LOOKS)
    assert not a.closed.is_set()
    under_way.count -= 1
    await asyncio.wait_for(a.closed.wait(), 5)

    assert OPEN == []


async def test_what_a_reload_leaves_is_closed_however_busy_its_successor_is(house: House) -> None:
    """Steady traffic would keep the old connections of every reload for good."""
    OPEN.clear()
    house.start(OWN)
    [a] = OPEN

    house.reload(OWN.replace("model: m", "model: n"))
    began(house)

    await asyncio.wait_for(a.closed.wait(), 5)


async def test_closing_what_was_never_used_is_fine(house: House) -> None:
    """A start that failed elsewhere ends like any other."""
    await house.app.succession.close()
