"""AgentService: puts a request to its agent, and lists the agents there are."""

from collections.abc import Awaitable, Callable

from penstock.v1 import agent_service_pb2 as pb
from penstockd import messages
from penstockd.agent import Agent, Directory
from penstockd.call import Call
from penstockd.errors import AgentNotFound
from penstockd.request import Request

Asks = Callable[[], pb.ProcessRequest | pb.ProcessStreamRequest]


class AgentService:
    """Answers Process, ProcessStream and ListAgents."""

    def __init__(self, agents: Directory) -> None:
        """Find agents in `agents`."""
        self._agents = agents

    def read(self, message_type: Asks, data: bytes) -> Request:
        """Return the request that `data` is; raise InvalidRequest for what is none."""
        return messages.read_request(messages.parse(message_type, data), default_agent=self._agents.default)

    def process(self, call: Call[Request]) -> Awaitable[None]:
        """Have the agent that is asked for answer."""
        agent = self._agents.find(call.request.agent)
        if agent is None:
            raise _unknown(call.request.agent)
        call.outcome.agent = agent.name
        return agent(call)

    async def list_agents(self, call: Call[pb.ListAgentsRequest]) -> None:
        """Send those that the caller may use."""
        usable = [agent for agent in self._agents.listed if call.principal.may_use(agent.name)]
        listed = [_agent(agent, is_default=agent.name == self._agents.default) for agent in usable]
        await call.send(pb.ListAgentsResponse(agents=listed))


def _unknown(name: str) -> AgentNotFound:
    where = "ListAgents names those there are"
    if name.startswith("model/"):
        where = "ListModels names the models, which can be asked bare where allow_bare_models is on"
    return AgentNotFound(f"there is no agent called {name[:63]!r}; {where}")


def _agent(agent: Agent, *, is_default: bool) -> pb.Agent:
    return pb.Agent(
        name=agent.name,
        description=agent.description,
        models=agent.models,
        streams=agent.streams,
        is_default=is_default,
    )
