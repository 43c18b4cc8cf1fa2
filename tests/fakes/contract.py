"""The contract's methods, with no interceptors in between."""

from typing import Any

from google.protobuf.message import Message

from fakes.calls import Inner, a_call, ending, nowhere
from fakes.clock import FakeClock
from fakes.scripted_model import ScriptedModel
from penstockd.agent import Directory
from penstockd.agents.prompt_agent import PromptAgent
from penstockd.call import Call, Handler, Q, Reply
from penstockd.endpoint import Endpoint
from penstockd.model import Model
from penstockd.models.pool import Pool
from penstockd.models.route import Route, priority
from penstockd.outcome import Outcome
from penstockd.principal import KeyRole, Principal
from penstockd.request import DEFAULTS
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.circuit import Transition
from penstockd.resilience.token_bucket import TokenBucket
from penstockd.service import Chains, endpoints
from penstockd.services.agents import AgentService
from penstockd.services.pool import PoolService

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


class Contract:
    """The methods, with two agents and two models behind them."""

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
                agents=AgentService(agents),
                usage=Usage(),  # type: ignore[arg-type]  # as much of it as is called
                pool=PoolService(Pool({"slow": self.slow, "fast": self.fast}, {}, clock=self.clock), self._changed),
                cache=Cache(),  # type: ignore[arg-type]  # as above
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
            parameters=DEFAULTS,
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
