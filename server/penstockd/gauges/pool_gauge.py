"""Shows how each model of the pool stands."""

from collections.abc import Callable, Iterator, Mapping

from penstockd import conventions as names
from penstockd.gauges.gauges import Gauges, Labels, Readings
from penstockd.model import Model
from penstockd.resilience.breaker import DISABLED
from penstockd.resilience.circuit import State

_STATES = (*State, DISABLED)


def show_pool(gauges: Gauges, models: Callable[[], Mapping[str, Model]]) -> None:
    """Show `models`, whichever they are at the time."""

    def each(read: Callable[[Model], float]) -> Callable[[], Readings]:
        return lambda: [(read(model), _of(model)) for model in models().values()]

    def states() -> Iterator[tuple[float, Labels]]:
        for model in models().values():
            present = model.breaker.label
            for state in _STATES:
                yield (
                    float(state == present),
                    {names.PENSTOCK_MODEL: model.name, names.PENSTOCK_STATE: state},
                )

    gauges.number(names.PENSTOCK_MODELS_CONFIGURED, lambda: len(models()), description="Models of the pool.")
    gauges.number(
        names.PENSTOCK_MODELS_USABLE,
        lambda: sum(model.breaker.wait() == 0 for model in models().values()),
        description="Models of which a call could be made now, were there room at all of them.",
    )
    gauges.numbers(
        names.PENSTOCK_CIRCUIT_STATE, states, description="1 for the state that a model's circuit is in, 0 for others."
    )
    gauges.numbers(
        names.PENSTOCK_COOLDOWN_REMAINING,
        each(lambda model: model.breaker.cooldown),
        unit="s",
        description="For how much longer a model wants to be left alone.",
    )
    gauges.numbers(
        names.PENSTOCK_MODEL_IN_FLIGHT,
        each(lambda model: model.permits.in_flight),
        description="Attempts under way at a model.",
    )
    gauges.numbers(
        names.PENSTOCK_RETRY_BUDGET_AVAILABLE,
        each(lambda model: model.retries.available),
        description="Repeats that a model's retry budget would grant now.",
    )


def _of(model: Model) -> Labels:
    return {names.PENSTOCK_MODEL: model.name}
