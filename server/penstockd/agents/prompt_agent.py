"""An agent that is nothing but instructions: one model call per request."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from penstockd.agent import Caching
from penstockd.agents.agent_span import agent_span
from penstockd.call import Call, Handler
from penstockd.model import Prompt, Route
from penstockd.request import Parameters, Request, Role, Turn
from penstockd.tracing import present


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAgent:
    """Asks the models of its route under its instructions; `ask` is the chain around each model call."""

    name: str
    description: str
    instructions: str
    route: Route
    parameters: Parameters
    ask: Handler[Prompt]
    caching: Caching | None
    fingerprint: str
    streams: ClassVar[bool] = True

    @property
    def models(self) -> Sequence[str]:
        """The pool models of its route, in the route's order."""
        return [model.name for model in self.route.models]

    def __call__(self, call: Call[Request]) -> Awaitable[None]:
        """Answer `call` with one model call, streamed if the caller's is."""
        request = call.request
        prompt = Prompt(
            instructions=self.instructions,
            turns=(*request.history, Turn(Role.USER, request.input)),
            parameters=request.parameters.over(self.parameters),
            route=self.route,
            streams=call.method.streams,
            user_id=request.user_id,
            labels=request.labels,
        )
        asked = call.asking(prompt)
        return self.ask(asked) if present() is None else self._traced(asked)

    async def _traced(self, asked: Call[Prompt]) -> None:
        with agent_span(self.name):
            await self.ask(asked)
