"""The models are shown as they are, and steered by operators."""

from typing import Any

import pytest
from google.protobuf.message import Message

from fakes.contract import CALLER, OPERATOR, Contract
from penstock.v1 import pool_service_pb2
from penstockd.errors import InvalidRequest, ModelNotFound, PermissionDenied, Violation
from penstockd.principal import Principal
from penstockd.resilience.circuit import State


@pytest.fixture
def contract() -> Contract:
    """The methods."""
    return Contract()


async def test_models_are_listed_with_their_state(contract: Contract) -> None:
    """Breaker, load, speed and what the provider grants."""
    contract.fast.first_tokens.observe(0.25)
    assert contract.fast.permits.take()
    contract.slow.breaker.trip("reset", 20.0)

    response = await contract.ask("PoolService/ListModels", pool_service_pb2.ListModelsRequest(), CALLER)

    fast, slow = response.models
    assert (fast.name, fast.provider, fast.upstream_model) == ("fast", "scripted", "fast-upstream")
    assert (fast.in_flight, fast.max_in_flight) == (1, 7)
    assert fast.time_to_first_token.ToMilliseconds() == 250
    assert fast.breaker_state == pool_service_pb2.BREAKER_STATE_CLOSED
    assert not fast.HasField("next_probe_in")
    assert [(limit.unit, limit.rate, limit.remaining) for limit in fast.limits] == [
        ("requests", "10/s", 10),
        ("tokens", "1000/s", 1000),
    ]
    assert slow.breaker_state == pool_service_pb2.BREAKER_STATE_OPEN
    assert slow.next_probe_in.seconds == 20
    assert slow.cause == "reset"
    assert not slow.HasField("time_to_first_token")
    assert list(slow.limits) == []


@pytest.mark.parametrize(
    ("action", "state", "is_enabled"),
    [
        (pool_service_pb2.MODEL_ACTION_DISABLE, State.CLOSED, False),
        (pool_service_pb2.MODEL_ACTION_FORCE_OPEN, State.OPEN, True),
        (pool_service_pb2.MODEL_ACTION_ENABLE, State.CLOSED, True),
    ],
)
async def test_an_operator_steers_a_model(contract: Contract, action: Any, state: State, *, is_enabled: bool) -> None:  # noqa: ANN401
    """The answer shows the model as it then is, and whoever watches is told."""
    request = pool_service_pb2.SetModelRequest(name="fast", action=action)

    response = await contract.ask("PoolService/SetModel", request)

    assert contract.fast.breaker.state is state
    assert contract.fast.breaker.is_enabled is is_enabled
    assert response.model.enabled is is_enabled
    assert [name for name, _ in contract.changes] == ["fast"]


@pytest.mark.parametrize(
    ("request_", "principal", "error"),
    [
        (
            pool_service_pb2.SetModelRequest(name="fast", action=pool_service_pb2.MODEL_ACTION_ENABLE),
            CALLER,
            PermissionDenied,
        ),
        (
            pool_service_pb2.SetModelRequest(name="nobody", action=pool_service_pb2.MODEL_ACTION_ENABLE),
            OPERATOR,
            ModelNotFound,
        ),
        (pool_service_pb2.SetModelRequest(name="fast"), OPERATOR, InvalidRequest),
        (pool_service_pb2.SetModelRequest.FromString(b"\x0a\x04fast\x10\x63"), OPERATOR, InvalidRequest),
    ],
)
async def test_a_wrong_hand_changes_nothing(
    contract: Contract, request_: Message, principal: Principal, error: type[Exception]
) -> None:
    """Not an operator's, not a model's, not an action."""
    with pytest.raises(error):
        await contract.ask("PoolService/SetModel", request_, principal)

    assert contract.changes == []


async def test_a_model_without_a_name_is_no_model_to_look_for(contract: Contract) -> None:
    """The field is empty; that no model is called so would help nobody."""
    request = pool_service_pb2.SetModelRequest(action=pool_service_pb2.MODEL_ACTION_ENABLE)

    with pytest.raises(InvalidRequest) as raised:
        await contract.ask("PoolService/SetModel", request)

    assert raised.value.violations == (Violation("name", "must not be empty"),)
