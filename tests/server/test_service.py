"""The contract's methods are all there."""

import pytest

from fakes.calls import a_call, ending
from fakes.contract import Contract
from penstock.v1 import agent_service_pb2, pool_service_pb2
from penstockd.errors import InvalidRequest
from penstockd.service import SERVICES


@pytest.fixture
def contract() -> Contract:
    """The methods."""
    return Contract()


def test_every_method_of_the_contract_is_served(contract: Contract) -> None:
    """As the descriptors name them."""
    services = [
        module.DESCRIPTOR.services_by_name[full_name.rpartition(".")[2]]
        for full_name in SERVICES
        for module in (agent_service_pb2, pool_service_pb2)
        if full_name.rpartition(".")[2] in module.DESCRIPTOR.services_by_name
    ]
    methods = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}

    assert methods <= contract.endpoints.keys()
    assert contract.endpoint("AgentService/ProcessStream").method.streams
    assert not contract.endpoint("AgentService/Process").method.streams


async def test_what_cannot_be_read_is_raised_where_refusals_are_seen(contract: Contract) -> None:
    """By the handler behind the interceptors of refusals."""
    refusal = InvalidRequest("bad")

    assert await ending(a_call(refusal), contract.endpoint("AgentService/Process").refuse) is refusal
