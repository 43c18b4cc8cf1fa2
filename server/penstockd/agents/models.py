"""The model calls of a Python agent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

from msgspec.structs import replace

from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.model import Prompt, Route
from penstockd.outcome import FinishReason, Outcome
from penstockd.request import Parameters, Request, Role, Turn
from penstockd.usage import Usage

T = TypeVar("T")

Question = str | Sequence[tuple[str, str] | Mapping[str, str] | Turn]
"""The user's text, or turns as ("user" | "assistant", text) or {"role": …, "content": text}, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model's whole answer; `cost_nanousd` covers every attempt and is None if a price is unknown.

    `finish_reason` is LENGTH where it was cut at `max_output_tokens` or at the model's own limit.
    """

    output: str
    finish_reason: FinishReason
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
        """Ask on behalf of `call`, by `route` unless another of `routes` is named.

        `has_cut_an_answer` says whether one of the models was not done when its answer ended.
        """
        self.has_cut_an_answer = False
        self._call = call
        self._route = route
        self._routes = routes
        self._parameters = parameters
        self._ask = ask
        self._running: set[asyncio.Task[object]] = set()
        self._is_over = False

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

        async def hear(text: str) -> None:
            texts.append(text)

        prompt = self._prompt(question, instructions, route, parameters, streams=False)
        finish_reason, outcome = await _result(self._start(self._run(prompt, hear)))
        return Answer(
            output="".join(texts),
            finish_reason=finish_reason,
            usage=outcome.usage,
            cost_nanousd=outcome.cost_nanousd,
        )

    async def stream(
        self,
        question: Question,
        *,
        instructions: str = "",
        route: str | None = None,
        **parameters: Any,  # noqa: ANN401
    ) -> AsyncIterator[str]:
        """Yield a model's answer as it comes; a reader that stops early ends the model call."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        async def hear(text: str) -> None:
            # One piece at most lies ready, and still the end always finds room.
            await pieces.join()
            pieces.put_nowait(text)

        prompt = self._prompt(question, instructions, route, parameters, streams=True)
        task = self._start(self._run(prompt, hear))
        task.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (text := await pieces.get()) is not None:
                pieces.task_done()
                yield text
            await task
        finally:
            await _end(task)

    def end(self) -> None:
        """End every model call that is under way, waiting for none, and let the agent make no other."""
        self._is_over = True
        for task in self._running:
            _cancel(task)

    async def close(self) -> None:
        """End every model call, and return when each has settled what it used."""
        self.end()
        if self._running:
            await asyncio.wait(self._running)

    def _prompt(
        self, question: Question, instructions: str, route: str | None, parameters: Mapping[str, Any], *, streams: bool
    ) -> Prompt:
        if self._is_over:
            raise RuntimeError("the agent has returned, or its caller has left: it can ask no model any more")
        if route is not None and route not in self._routes:
            message = f"there is no route called {route!r}"
            raise LookupError(message)
        _check_length(parameters.get("max_output_tokens"))
        return Prompt(
            instructions=instructions,
            turns=_turns(question),
            parameters=Parameters(**parameters).over(self._parameters),
            route=self._route if route is None else self._routes[route],
            streams=streams,
            user_id=self._call.request.user_id,
            labels=self._call.request.labels,
        )

    async def _run(self, prompt: Prompt, hear: Callable[[str], Awaitable[None]]) -> tuple[FinishReason, Outcome]:
        """Make one model call, with an outcome of its own that the caller's then takes in."""
        finish_reason, whole = FinishReason.STOP, self._call.outcome

        async def send(reply: Reply) -> None:
            nonlocal finish_reason
            match reply:
                case Delta(text=text):
                    # What the agent makes of it may be the first that its caller hears.
                    whole.model = outcome.model
                    await hear(text)
                case Completed():
                    finish_reason = reply.finish_reason
                    self.has_cut_an_answer |= finish_reason is FinishReason.LENGTH

        outcome = Outcome(
            call_id=whole.call_id,
            ordinals=whole.ordinals,
            request_id=whole.request_id,
            trace_ids=whole.trace_ids,
            agent=whole.agent,
            principal=whole.principal,
        )
        try:
            await self._ask(replace(self._call.asking(prompt), send=send, outcome=outcome))
        finally:
            whole.attempts += outcome.attempts
            # Parallel calls end in any order.
            whole.attempts.sort(key=attrgetter("ordinal"))
            whole.waited += outcome.waited
            whole.model = outcome.model or whole.model
        return finish_reason, outcome

    def _start(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Make a model call in a task of its own, which `end` finds whoever waits for it."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(_hear_out)
        return task


async def _result(task: asyncio.Task[T]) -> T:
    """Return what `task` comes to; whoever is cancelled meanwhile ends it."""
    try:
        await asyncio.wait({task})
    finally:
        await _end(task)
    return task.result()


async def _end(task: asyncio.Task[T]) -> None:
    _cancel(task)
    await asyncio.wait({task})


def _cancel(task: asyncio.Task[T]) -> None:
    """Cancel it once: another time would break off the settlement of what was used."""
    if not task.cancelling():
        task.cancel()


def _hear_out(task: asyncio.Task[T]) -> None:
    """Know of what it raised, whether or not the agent asks: asyncio would tell of what nobody has heard."""
    if not task.cancelled():
        task.exception()


def _check_length(limit: object) -> None:
    """Raise ValueError for what would make the call hold nothing of its limits and budgets."""
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1):
        return
    message = f"max_output_tokens must be an int of at least 1, or None, not {limit!r}"
    raise ValueError(message)


def _turns(question: Question) -> tuple[Turn, ...]:
    if isinstance(question, str):
        return (Turn(Role.USER, question),)
    turns = tuple(_turn(turn) for turn in question)
    if not turns:
        raise ValueError("there is nothing to answer: ask with the user's text, or with at least one turn")
    return turns


def _turn(turn: object) -> Turn:
    match turn:
        case Turn(role=role, content=text):
            # What an agent's own kind of turn has besides is no model's affair: a turn is sent as it is.
            return turn if type(turn) is Turn else Turn(role, text)
        case [Role() | "user" | "assistant" as role, str(text)]:
            return Turn(Role(role), text)
        case {"role": "user" | "assistant" as role, "content": str(text), **rest} if not rest:
            return Turn(Role(role), text)
    raise TypeError('a turn is ("user", TEXT) or ("assistant", TEXT), or {"role": "user", "content": TEXT}')
