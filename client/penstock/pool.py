"""What to do with a model of the pool: plain arguments made into the contract's request."""

from collections.abc import Mapping
from typing import Literal

from penstock.v1.pool_service_pb2 import ModelAction, SetModelRequest

Action = Literal["enable", "disable", "force_open"]
"""Let it take calls afresh, take it out of every route, or open its circuit as if it had failed."""

ACTIONS: Mapping[Action, ModelAction] = {
    "enable": ModelAction.MODEL_ACTION_ENABLE,
    "disable": ModelAction.MODEL_ACTION_DISABLE,
    "force_open": ModelAction.MODEL_ACTION_FORCE_OPEN,
}


def set_model_request(name: str, action: Action) -> SetModelRequest:
    """Make the request; an unknown action is a ValueError."""
    if action not in ACTIONS:
        raise ValueError(f"action is one of {', '.join(ACTIONS)}, not {action!r}")
    return SetModelRequest(name=name, action=ACTIONS[action])
