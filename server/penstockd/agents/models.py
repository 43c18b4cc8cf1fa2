"""The model calls of a Python agent."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from msgspec.structs import replace

from penstockd.call import Call, Delta, Handler, Reply, Send
from penstockd.model import Prompt, Route
from penstockd.outcome import Outcome
from penstockd.request import DEFAULTS, Parameters, Request, Role, Turn
from penstockd.usage import Usage

Question = str | Sequence[tuple[str, str] | Turn]
"""The user's text, or turns as ("user" | "assistant", text), oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model's whole answer; `cost_nanousd` covers every attempt and is None if a price is unknown."""

    output: str
    usage: Usage
    cost_nanousd: int | None


class Models:
    """Asks models with retries, failover, metering and breakers, as every model call in Penstock is made."""

    def __init__(
        self,
        *,
        call: Call[Request],
        route: Route,
        routes: Mapping[str, Route],
        parameters: Parameters,
        ask: Handler[Prompt],
    ) -> None:
        """Ask on behalf of `call`, by `route` unless another of `routes` is named."""
        self._call = call
        self._route = route
        self._routes = routes
        self._parameters = parameters
        self._ask = ask
        self._streaming: set[asyncio.Task[None]] = set()

    async def ask(
        self,
        question: Question,
        *,
        instructions: str = "",
        route: str | None = None,
        **parameters: Any,  # noqa: ANN401
    ) -> Answer:
        """Return a model's whole answer; `parameters` are those of GenerationParameters."""
        texts: list[str] = []

        async def send(reply: Reply) -> None:
            if isinstance(reply, Delta):
                texts.append(reply.text)

        prompt = self._prompt(question, instructions, route, parameters, streams=False)
        outcome = await self._run(prompt, send)
        return Answer(output="".join(texts), usage=outcome.usage, cost_nanousd=outcome.cost_nanousd)

    async def stream(
        self,
        question: Question,
        *,
        instructions: str = "",
        route: str | None = None,
        **parameters: Any,  # noqa: ANN401
    ) -> AsyncIterator[str]:
        """Yield a model's answer as it comes; a reader that stops early ends the model call."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)

        async def send(reply: Reply) -> None:
            if isinstance(reply, Delta):
                await pieces.put(reply.text)

        prompt = self._prompt(question, instructions, route, parameters, streams=True)
        task = asyncio.create_task(self._produce(prompt, send, pieces))
        self._streaming.add(task)
        try:
            while (text := await pieces.get()) is not None:
                yield text
            await task
        finally:
            await self._end(task)

    async def close(self) -> None:
        """End every model call that the agent left behind."""
        for task in list(self._streaming):
            await self._end(task)

    def _prompt(
        self, question: Question, instructions: str, route: str | None, parameters: Mapping[str, Any], *, streams: bool
    ) -> Prompt:
        if route is not None and route not in self._routes:
            message = f"there is no route called {route!r}"
            raise LookupError(message)
        return Prompt(
            instructions=instructions,
            turns=_turns(question),
            parameters=Parameters(**parameters).over(self._parameters).over(DEFAULTS),
            route=self._route if route is None else self._routes[route],
            streams=streams,
            user_id=self._call.request.user_id,
            labels=self._call.request.labels,
        )

    async def _run(self, prompt: Prompt, send: Send) -> Outcome:
        """Make one model call, with an outcome of its own that the caller's then takes in."""
        whole = self._call.outcome
        outcome = Outcome(
            call_id=whole.call_id,
            ordinals=whole.ordinals,
            request_id=whole.request_id,
            agent=whole.agent,
            principal=whole.principal,
        )
        try:
            await self._ask(replace(self._call.asking(prompt), send=send, outcome=outcome))
        finally:
            whole.attempts += outcome.attempts
            whole.waited += outcome.waited
            whole.model = outcome.model or whole.model
        return outcome

    async def _produce(self, prompt: Prompt, send: Send, pieces: asyncio.Queue[str | None]) -> None:
        try:
            await self._run(prompt, send)
        finally:
            # Who cancels this task reads no more, and a full queue would wait for ever.
            if not cast("asyncio.Task[None]", asyncio.current_task()).cancelling():
                await pieces.put(None)

    async def _end(self, task: asyncio.Task[None]) -> None:
        self._streaming.discard(task)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()


def _turns(question: Question) -> tuple[Turn, ...]:
    if isinstance(question, str):
        return (Turn(Role.USER, question),)
    return tuple(turn if isinstance(turn, Turn) else Turn(Role(turn[0]), turn[1]) for turn in question)
