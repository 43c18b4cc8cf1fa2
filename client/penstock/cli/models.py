"""`penstock models`: shows the pool."""

import time
from argparse import Namespace

from penstock import durations
from penstock.cli import daemon, terminal
from penstock.v1.pool_service_pb2 import BreakerState, ListModelsResponse, Model

_HEADER = ("MODEL", "PROVIDER", "STATE", "IN FLIGHT", "ERRORS", "FIRST TOKEN", "NEXT PROBE", "CAUSE")
_NOTHING = "-"
_PERIOD = 1.0


def run(chosen: Namespace) -> int:
    """Print the models of the pool, once or every second until interrupted."""
    with daemon.client(chosen) as client:
        while True:
            models = client.list_models()
            if chosen.watch:
                terminal.clear()
            show(models, is_json=chosen.json)
            if not chosen.watch:
                return 0
            time.sleep(_PERIOD)


def show(models: list[Model], *, is_json: bool) -> None:
    """Print the models as a table or as JSON."""
    if is_json:
        terminal.write_json(ListModelsResponse(models=models))
    else:
        terminal.write_table(_HEADER, [_row(model) for model in models])


def _row(model: Model) -> list[str]:
    return [
        model.name,
        model.provider,
        _state(model),
        f"{model.in_flight}/{model.max_in_flight}",
        f"{model.error_rate:.0%}",
        _duration(model, "time_to_first_token"),
        _duration(model, "next_probe_in"),
        model.cause or _NOTHING,
    ]


def _state(model: Model) -> str:
    if not model.enabled:
        return "disabled"
    return BreakerState.Name(model.breaker_state).removeprefix("BREAKER_STATE_").lower().replace("_", "-")


def _duration(model: Model, field: str) -> str:
    if not model.HasField(field):
        return _NOTHING
    return durations.show(durations.to_seconds(getattr(model, field)))
