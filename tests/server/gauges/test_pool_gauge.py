"""The pool is shown as it is when somebody looks."""

from fakes.clock import FakeClock
from fakes.scripted_model import ScriptedModel
from fakes.telescope import Telescope
from penstockd.gauges.gauges import Gauges
from penstockd.gauges.pool_gauge import show_pool
from penstockd.model import Model


class Scene:
    """Two models, and what is shown of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.models: dict[str, Model] = {name: ScriptedModel(name, clock=self.clock).model for name in ("a", "b")}
        self._telescope = Telescope()
        show_pool(Gauges(self._telescope.meter), lambda: self.models)

    def shown(self, name: str) -> dict[object, float]:
        """A metric by model."""
        return {labels.get("penstock.model"): value for labels, value in self._telescope.points(name)}

    def state(self, model: str) -> list[object]:
        """The states that a model is shown in."""
        points = self._telescope.points("penstock.circuit.state")
        assert len(points) == 4 * len(self.models)
        return [labels["penstock.state"] for labels, value in points if labels["penstock.model"] == model and value]


def test_a_model_is_in_one_state() -> None:
    """Open, half open and closed are the circuit's own, disabled is an operator's word."""
    scene = Scene()
    assert scene.state("a") == ["closed"]

    scene.models["a"].breaker.force_open("test")
    assert (scene.state("a"), scene.state("b")) == (["open"], ["closed"])

    scene.clock.advance(60)
    assert scene.models["a"].breaker.admit()
    assert scene.state("a") == ["half_open"]

    scene.models["a"].breaker.disable()
    assert scene.state("a") == ["disabled"]


def test_models_that_nobody_can_ask_are_not_usable() -> None:
    """Those that cool down or are open; a probe that is due makes one usable again."""
    scene = Scene()
    scene.models["a"].breaker.cool_down(2.0)
    scene.models["b"].breaker.force_open("test")

    assert scene.shown("penstock.models.configured") == {None: 2}
    assert scene.shown("penstock.models.usable") == {None: 0}
    assert scene.shown("penstock.cooldown.remaining") == {"a": 2.0, "b": 0.0}

    scene.clock.advance(1.5)
    assert scene.shown("penstock.cooldown.remaining") == {"a": 0.5, "b": 0.0}

    scene.clock.advance(60)
    assert scene.shown("penstock.models.usable") == {None: 2}


def test_what_is_under_way_and_what_may_be_repeated() -> None:
    """Looking takes nothing away."""
    scene = Scene()
    scene.models["a"].permits.take()
    scene.models["b"].retries.withdraw()

    for _ in range(2):
        assert scene.shown("penstock.model.in_flight") == {"a": 1, "b": 0}
        assert scene.shown("penstock.retry_budget.available") == {"a": 10, "b": 9}


def test_a_model_that_a_reload_drops_is_shown_no_more() -> None:
    """Else it would be down for ever."""
    scene = Scene()
    del scene.models["b"]

    assert set(scene.shown("penstock.circuit.state")) == {"a"}
    assert scene.shown("penstock.models.configured") == {None: 1}
