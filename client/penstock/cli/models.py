"""`penstock models`: shows the pool, and lets operators steer it."""

import time
from argparse import Namespace
from typing import NoReturn

from penstock.cli import daemon, figures, terminal
from penstock.errors import PenstockError
from penstock.pool import ACTIONS, Action
from penstock.status import to_seconds
from penstock.v1.pool_service_pb2 import BreakerState, ListModelsResponse, Model, SetModelResponse

_HEADER = ("MODEL", "PROVIDER", "STATE", "IN FLIGHT", "ERRORS", "FIRST TOKEN", "NEXT PROBE", "CAUSE")
_NOTHING = "-"
_PERIOD = 1.0
_COOLING, _COOLS_FOR = "cooling", "rate_limited"


def run(chosen: Namespace) -> int:
    """Print the models of the pool, once or every second until interrupted; or change one and print that."""
    for action in ACTIONS:
        name = getattr(chosen, action)
        if name is not None:
            return _change(chosen, name, action)
    if chosen.watch:
        _watch(chosen)
    _show(_models(chosen), is_json=chosen.json)
    return 0


def _change(chosen: Namespace, name: str, action: Action) -> int:
    with daemon.onlooker(chosen) as client:
        model = client.set_model(name, action)
    if chosen.json:
        terminal.write_json(SetModelResponse(model=model))
    else:
        _show([model], is_json=False)
    return 0


def _watch(chosen: Namespace) -> NoReturn:
    """Print the models again and again; a daemon that goes away is waited for, but it must be there at first."""
    is_lost = False
    models = _models(chosen)
    with terminal.without_cursor():
        while True:
            if chosen.json and not is_lost:
                _show(models, is_json=True)
            elif not is_lost:
                terminal.redraw(_table(models))
            time.sleep(_PERIOD)
            try:
                models, is_lost = _models(chosen), False
            except PenstockError as error:
                if not is_lost:
                    terminal.complain(f"DISCONNECTED: {terminal.describe(error)}; what is above is older")
                is_lost = True


def _models(chosen: Namespace) -> list[Model]:
    # A client for each look: a channel that lost its daemon would wait for longer and longer before it looks again.
    with daemon.onlooker(chosen) as client:
        return client.list_models()


def _show(models: list[Model], *, is_json: bool) -> None:
    if is_json:
        terminal.write_json(ListModelsResponse(models=models))
    else:
        terminal.write_lines(_table(models))


def _table(models: list[Model]) -> list[str]:
    return terminal.table(_HEADER, [_row(model) for model in models])


def _row(model: Model) -> list[str]:
    state = _state(model)
    return [
        model.name,
        model.provider,
        state,
        f"{model.in_flight}/{model.max_in_flight}",
        figures.percent(model.error_rate),
        _duration(model, "time_to_first_token"),
        _duration(model, "next_probe_in"),
        model.cause or (_COOLS_FOR if state == _COOLING else _NOTHING),
    ]


def _state(model: Model) -> str:
    if not model.enabled:
        return "disabled"
    # A closed circuit has no probe to come: it is its provider that asked for patience.
    if model.breaker_state == BreakerState.BREAKER_STATE_CLOSED and model.HasField("next_probe_in"):
        return _COOLING
    return BreakerState.Name(model.breaker_state).removeprefix("BREAKER_STATE_").lower().replace("_", "-")


def _duration(model: Model, field: str) -> str:
    if not model.HasField(field):
        return _NOTHING
    return figures.seconds(to_seconds(getattr(model, field)))
