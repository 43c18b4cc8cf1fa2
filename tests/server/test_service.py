"""The contract's methods do what they say."""

from typing import Any

import pytest
from google.protobuf.message import Message

from fakes.calls import Inner, a_call, ending, nowhere
from fakes.clock import FakeClock
from fakes.scripted_model import ScriptedModel
from penstock.v1 import agent_service_pb2, pool_service_pb2
from penstockd.agent import Directory
from penstockd.agents.prompt_agent import PromptAgent
from penstockd.call import Call, Handler, Q, Reply
from penstockd.endpoint import Endpoint
from penstockd.errors import AgentNotFound, InvalidRequest, ModelNotFound, PermissionDenied, Violation
from penstockd.model import Model
from penstockd.models.pool import Pool
from penstockd.models.route import Route, priority
from penstockd.outcome import Outcome
from penstockd.principal import KeyRole, Principal
from penstockd.request import Parameters
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.circuit import State, Transition
from penstockd.resilience.token_bucket import TokenBucket
from penstockd.service import SERVICES, Chains, endpoints

OPERATOR = Principal(tenant="acme", role=KeyRole.OPERATOR)
CALLER = Principal(tenant="acme", agents=frozenset({"a"}))


class Usage:
    """The usage service's place."""

    async def get_usage(self, call: Call[Any]) -> None:
        await nowhere(call.request)


class Cache:
    """The cache service's place."""

    async def purge(self, call: Call[Any]) -> None:
        await nowhere(call.request)


class House:
    """Two agents and two models behind the contract's methods, with no interceptors in between."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        allowance = Allowance(requests=TokenBucket(10.0, 10, self.clock), tokens=TokenBucket(1000.0, 1000, self.clock))
        self.fast = ScriptedModel("fast", clock=self.clock, max_in_flight=7, allowance=allowance).model
        self.slow = ScriptedModel("slow", clock=self.clock).model
        self.asked = Inner()
        self.changes: list[tuple[str, Transition | None]] = []
        agents = Directory([self._agent("b"), self._agent("a")], bare=[self._agent("model/fast")], default="b")
        self.endpoints = {
            endpoint.method.path: endpoint
            for endpoint in endpoints(
                agents=agents,
                pool=Pool({"slow": self.slow, "fast": self.fast}, {}, clock=self.clock),
                usage=Usage(),  # type: ignore[arg-type]  # as much of it as is called
                cache=Cache(),  # type: ignore[arg-type]  # as above
                changed=self._changed,
                chains=Chains(generate=_bare, query=_bare, refuse=_bare),
                clock=self.clock,
            )
        }

    def _agent(self, name: str) -> PromptAgent:
        return PromptAgent(
            name=name,
            description=f"Agent {name}.",
            instructions="",
            route=Route([self.fast], priority),
            parameters=Parameters(),
            ask=self.asked,
            caching=None,
            fingerprint="",
        )

    def _changed(self, model: Model, transition: Transition | None) -> None:
        self.changes.append((model.name, transition))

    def endpoint(self, name: str) -> Endpoint[Any]:
        """The endpoint of a method, named Service/Method."""
        return self.endpoints[f"/penstock.v1.{name}"]

    async def ask(self, name: str, request: Message, principal: Principal = OPERATOR) -> Any:  # noqa: ANN401 - a message
        """Call a method and return its last reply, or raise its error."""
        replies: list[Reply] = []

        async def send(reply: Reply) -> None:
            replies.append(reply)

        endpoint = self.endpoint(name)
        read = endpoint.read(request.SerializeToString())
        call = a_call(read, method=endpoint.method, send=send, outcome=Outcome(principal=principal))
        error = await ending(call, endpoint.handle)
        if error is not None:
            raise error
        return replies[-1] if replies else None


def _bare(handler: Handler[Q]) -> Handler[Q]:
    return handler


@pytest.fixture
def house() -> House:
    """The methods."""
    return House()


def test_every_method_of_the_contract_is_served(house: House) -> None:
    """As the descriptors name them."""
    services = [
        module.DESCRIPTOR.services_by_name[full_name.rpartition(".")[2]]
        for full_name in SERVICES
        for module in (agent_service_pb2, pool_service_pb2)
        if full_name.rpartition(".")[2] in module.DESCRIPTOR.services_by_name
    ]
    methods = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}

    assert methods <= house.endpoints.keys()
    assert house.endpoint("AgentService/ProcessStream").method.streams
    assert not house.endpoint("AgentService/Process").method.streams


@pytest.mark.parametrize(("agent", "found"), [("", "b"), ("a", "a"), ("model/fast", "model/fast")])
async def test_a_request_goes_to_its_agent(house: House, agent: str, found: str) -> None:
    """The default's where it names none; a bare model is one too."""
    await house.ask("AgentService/Process", agent_service_pb2.ProcessRequest(input="hello", agent=agent))

    (call,) = house.asked.calls
    assert call.outcome.agent == found


async def test_an_unknown_agent_is_not_found(house: House) -> None:
    """Its name is repeated, within reason."""
    request = agent_service_pb2.ProcessRequest(input="hello", agent="x" * 1000)

    with pytest.raises(AgentNotFound) as raised:
        await house.ask("AgentService/Process", request)

    assert len(raised.value.message) < 200


async def test_an_unknown_bare_model_is_looked_for_among_the_models(house: House) -> None:
    """ListAgents would not name it."""
    request = agent_service_pb2.ProcessRequest(input="hello", agent="model/nope")

    with pytest.raises(AgentNotFound, match=r"'model/nope'; ListModels names .* allow_bare_models is on"):
        await house.ask("AgentService/Process", request)


async def test_agents_are_listed_by_name(house: House) -> None:
    """With the default marked, without bare models, as far as the caller may use them."""
    request = agent_service_pb2.ListAgentsRequest()

    response = await house.ask("AgentService/ListAgents", request)

    assert [(agent.name, agent.is_default, agent.streams, agent.models) for agent in response.agents] == [
        ("a", False, True, ["fast"]),
        ("b", True, True, ["fast"]),
    ]
    assert response.agents[0].description == "Agent a."
    assert [agent.name for agent in (await house.ask("AgentService/ListAgents", request, CALLER)).agents] == ["a"]


async def test_models_are_listed_with_their_state(house: House) -> None:
    """Breaker, load, speed and what the provider grants."""
    house.fast.latency.observe(0.25)
    assert house.fast.permits.take()
    house.slow.breaker.trip("reset", 20.0)

    response = await house.ask("PoolService/ListModels", pool_service_pb2.ListModelsRequest(), CALLER)

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
async def test_an_operator_steers_a_model(house: House, action: Any, state: State, *, is_enabled: bool) -> None:  # noqa: ANN401
    """The answer shows the model as it then is, and whoever watches is told."""
    request = pool_service_pb2.SetModelRequest(name="fast", action=action)

    response = await house.ask("PoolService/SetModel", request)

    assert house.fast.breaker.state is state
    assert house.fast.breaker.is_enabled is is_enabled
    assert response.model.enabled is is_enabled
    assert [name for name, _ in house.changes] == ["fast"]


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
    house: House, request_: Message, principal: Principal, error: type[Exception]
) -> None:
    """Not an operator's, not a model's, not an action."""
    with pytest.raises(error):
        await house.ask("PoolService/SetModel", request_, principal)

    assert house.changes == []


async def test_a_model_without_a_name_is_no_model_to_look_for(house: House) -> None:
    """The field is empty; that no model is called so would help nobody."""
    request = pool_service_pb2.SetModelRequest(action=pool_service_pb2.MODEL_ACTION_ENABLE)

    with pytest.raises(InvalidRequest) as raised:
        await house.ask("PoolService/SetModel", request)

    assert raised.value.violations == (Violation("name", "must not be empty"),)


async def test_what_cannot_be_read_is_raised_where_refusals_are_seen(house: House) -> None:
    """By the handler behind the interceptors of refusals."""
    refusal = InvalidRequest("bad")

    assert await ending(a_call(refusal), house.endpoint("AgentService/Process").refuse) is refusal
