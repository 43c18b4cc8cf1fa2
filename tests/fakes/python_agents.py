"""A Python agent over scripted models, and what comes of calling it."""

import asyncio
from typing import Any

from fakes.calls import STREAM, a_call
from fakes.model_calls import Asked, ModelCalls
from fakes.scripted_model import ScriptedModel
from penstockd.agents.python_agent import Function, PythonAgent
from penstockd.logs.log import Log
from penstockd.models.route import Route, priority
from penstockd.principal import Principal
from penstockd.request import Parameters, Request, Role, Turn

REQUEST = Request(
    agent="agent",
    input="hello",
    history=(Turn(Role.USER, "before"),),
    user_id="u1",
    labels={"team": "search"},
    parameters=Parameters(temperature=0.5),
)


class Scene:
    """An agent over two scripted models, each on a route of its own."""

    def __init__(self, *script: Any, models: ModelCalls | None = None) -> None:  # noqa: ANN401 - as ScriptedModel
        self.models = models or ModelCalls(max_attempts=2)
        self.a = self.models.model("a", *script)
        self.b = self.models.model("b", "from b")

    def agent(self, function: Function) -> PythonAgent:
        """The agent that is `function`."""
        return PythonAgent(
            name="agent",
            description="",
            function=function,
            route=_route(self.a),
            routes={"other": _route(self.b)},
            parameters=Parameters(temperature=0.1, max_output_tokens=50),
            ask=self.models.handle,
            caching=None,
            fingerprint="",
            log=Log("test"),
        )

    async def ask(self, function: Function) -> Asked:
        """Make one call and return what came of it."""
        return await self.ask_agent(self.agent(function))

    async def ask_agent(self, agent: PythonAgent) -> Asked:
        """Make one call to this agent."""
        asked = Asked()
        asked.outcome.request_id = "r1"
        asked.outcome.trace_ids = {"trace_id": "t1"}
        asked.outcome.principal = Principal(tenant="acme")
        now = self.models.clock.monotonic()
        call = a_call(REQUEST, method=STREAM, send=asked.heard.take, outcome=asked.outcome, expires_at=now + 30.0)
        try:
            await agent(call)
        except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # noqa: BLE001 - the test looks at it
            asked.error = error
        return asked

    async def ask_and_count(self, function: Function) -> tuple[Asked, int]:
        """Make one call, and look at once how many model calls it left in flight."""
        return await self.ask(function), self.a.in_flight

    def answer(self, function: Function) -> Asked:
        """Make one call in no time at all."""
        return self.models.run(self.ask(function))

    async def cancelled(self, function: Function, *, after: float = 1.0) -> tuple[Asked, float]:
        """Make one call, cancel it, and return what came of it and how long that took."""
        task = asyncio.ensure_future(self.ask(function))
        await self.models.clock.sleep(after)
        task.cancel()
        cancelled_at = self.models.clock.monotonic()
        asked = await task
        return asked, self.models.clock.monotonic() - cancelled_at


def _route(model: ScriptedModel) -> Route:
    return Route([model.model], priority)
