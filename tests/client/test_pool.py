"""Operators steer the pool."""

from collections.abc import Iterator
from typing import Any

import pytest

from fakes.pool_daemon import OPERATOR, FakePool, fake_pool
from penstock import AgentClient, ModelNotFound, PermissionDenied, SyncAgentClient
from penstock.pool import set_model_request
from penstock.v1.pool_service_pb2 import BreakerState


@pytest.fixture
def pool() -> Iterator[FakePool]:
    """A pool of one model."""
    with fake_pool() as running:
        yield running


def test_a_model_is_disabled_enabled_and_forced_open(pool: FakePool) -> None:
    """The model is returned as it is then."""
    with SyncAgentClient(pool.target, api_key=OPERATOR) as client:
        assert not client.set_model("fast", "disable").enabled
        assert client.set_model("fast", "enable").enabled
        assert client.set_model("fast", "force_open").breaker_state == BreakerState.BREAKER_STATE_OPEN


async def test_the_asyncio_client_steers_as_well(pool: FakePool) -> None:
    """And raises what its twin raises."""
    async with AgentClient(pool.target, api_key=OPERATOR) as client:
        assert not (await client.set_model("fast", "disable")).enabled
        with pytest.raises(ModelNotFound):
            await client.set_model("slow", "disable")


def test_who_is_no_operator_is_refused(pool: FakePool) -> None:
    """And the model stays as it is."""
    with SyncAgentClient(pool.target, api_key="pk_user") as client, pytest.raises(PermissionDenied):
        client.set_model("fast", "disable")

    assert pool.fast.enabled


def test_an_unknown_action_is_a_value_error() -> None:
    """It names those there are."""
    wrong: Any = "delete"

    with pytest.raises(ValueError, match="enable, disable, force_open, not 'delete'"):
        set_model_request("fast", wrong)
