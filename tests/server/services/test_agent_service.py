"""A request finds its agent, and a caller its agents."""

import pytest

from fakes.contract import CALLER, Contract
from penstock.v1 import agent_service_pb2
from penstockd.errors import AgentNotFound


@pytest.fixture
def contract() -> Contract:
    """The methods."""
    return Contract()


@pytest.mark.parametrize(("agent", "found"), [("", "b"), ("a", "a"), ("model/fast", "model/fast")])
async def test_a_request_goes_to_its_agent(contract: Contract, agent: str, found: str) -> None:
    """The default's where it names none; a bare model is one too."""
    await contract.ask("AgentService/Process", agent_service_pb2.ProcessRequest(input="hello", agent=agent))

    (call,) = contract.asked.calls
    assert call.outcome.agent == found


async def test_an_unknown_agent_is_not_found(contract: Contract) -> None:
    """Its name is repeated, within reason."""
    request = agent_service_pb2.ProcessRequest(input="hello", agent="x" * 1000)

    with pytest.raises(AgentNotFound) as raised:
        await contract.ask("AgentService/Process", request)

    assert len(raised.value.message) < 200


async def test_an_unknown_bare_model_is_looked_for_among_the_models(contract: Contract) -> None:
    """ListAgents would not name it."""
    request = agent_service_pb2.ProcessRequest(input="hello", agent="model/nope")

    with pytest.raises(AgentNotFound, match=r"'model/nope'; ListModels names .* allow_bare_models is on"):
        await contract.ask("AgentService/Process", request)


async def test_agents_are_listed_by_name(contract: Contract) -> None:
    """With the default marked, without bare models, as far as the caller may use them."""
    request = agent_service_pb2.ListAgentsRequest()

    response = await contract.ask("AgentService/ListAgents", request)

    assert [(agent.name, agent.is_default, agent.streams, agent.models) for agent in response.agents] == [
        ("a", False, True, ["fast"]),
        ("b", True, True, ["fast"]),
    ]
    assert response.agents[0].description == "Agent a."
    assert [agent.name for agent in (await contract.ask("AgentService/ListAgents", request, CALLER)).agents] == ["a"]
