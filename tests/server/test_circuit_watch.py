"""Whoever watches a model's circuit is told of its changes."""

import pytest

from fakes.clock import FakeClock
from fakes.scripted_model import ScriptedModel
from fakes.telescope import Telescope
from penstockd.changes import Changes
from penstockd.circuit_watch import CircuitWatch
from penstockd.logs.log import Log


def test_a_model_that_operators_turned_off_is_disabled_in_every_account(caplog: pytest.LogCaptureFixture) -> None:
    """Its circuit is closed all the while: log, metrics and page call it by what it means to callers."""
    telescope, changes = Telescope(), Changes(FakeClock())
    watch = CircuitWatch(log=Log("test"), instruments=telescope.instruments, changes=changes)
    model = ScriptedModel("fast", clock=FakeClock()).model

    for turn in (model.breaker.disable, model.breaker.enable):
        transition = turn()
        assert transition is not None
        watch.tell(model, transition)

    told = [("disabled", "disabled"), ("closed", "enabled")]
    lines = [record.__dict__["fields"] for record in caplog.records]
    counted = [attributes for attributes, _ in telescope.points("penstock.circuit.transitions")]
    assert [(line["state"], line["cause"]) for line in lines] == told
    assert [(each["penstock.state"], each["penstock.cause"]) for each in counted] == told
    assert [(each.state, each.cause) for each in reversed(changes.latest)] == told
