"""An agent that is a Python function of the operator's: it may make any number of model calls."""

import random
from asyncio import CancelledError, Task, wait
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, signature
from typing import Any, TypeAlias, cast

from msgspec.structs import replace

from penstockd.agent import Caching
from penstockd.agents.agent_span import agent_span
from penstockd.agents.context import AgentContext, AgentRequest
from penstockd.agents.models import Models
from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.errors import Overloaded, PenstockError
from penstockd.foreign_tasks import MOST_LEFT, TIME_TO_END, ForeignTasks
from penstockd.logs.log import Log
from penstockd.model import Prompt, Route
from penstockd.outcome import FinishReason
from penstockd.reference import named, on_one_line
from penstockd.request import Parameters, Request

Function: TypeAlias = Callable[[AgentRequest, AgentContext], Awaitable[str] | AsyncIterator[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonAgent:
    """Runs `function`, which returns its text, or yields it piece by piece."""

    name: str
    description: str
    function: Function
    route: Route
    routes: Mapping[str, Route]
    parameters: Parameters
    ask: Handler[Prompt]
    caching: Caching | None
    fingerprint: str
    log: Log
    _tasks: ForeignTasks = field(default_factory=ForeignTasks, init=False, repr=False)

    @property
    def models(self) -> Sequence[str]:
        """The pool models of its route, in the route's order."""
        return [model.name for model in self.route.models]

    @property
    def streams(self) -> bool:
        """Whether the function yields."""
        return isasyncgenfunction(self.function)

    async def __call__(self, call: Call[Request]) -> None:
        """Answer `call` with the function's text; errors of ours pass unchanged, also out of a task group."""
        if self._tasks.are_too_many:
            retry_after = TIME_TO_END * random.uniform(0.5, 1.5)  # noqa: S311 - it spreads those who come back
            message = f"{MOST_LEFT} earlier calls of this agent go on though they are over"
            raise Overloaded(message, retry_after=retry_after)
        models = Models(call=call, route=self.route, routes=self.routes, parameters=self.parameters, ask=self.ask)
        context = AgentContext(
            request_id=call.outcome.request_id,
            tenant=call.tenant,
            models=models,
            log=self.log.bound(**{**call.outcome.log_fields, "agent": self.name}),
            _ends_at=lambda: call.ends_at,
        )
        try:
            with agent_span(self.name):
                await self._answer(call, context)
        except BaseExceptionGroup as group:
            ours = _first_of_ours(group)
            if ours is None:
                raise
            raise ours from group
        except (Exception, CancelledError):
            raise
        except BaseException as error:
            # sys.exit() would end the daemon, with everybody's calls.
            raise RuntimeError(f"the agent raised {type(error).__name__}") from error
        await call.send(Completed(finish_reason=FinishReason.STOP, may_be_kept=not models.has_cut_an_answer))

    async def _answer(self, call: Call[Request], context: AgentContext) -> None:
        """Reply with the function's text, or raise what it raises.

        The function is a task of its own: whatever it makes of a cancellation, the call ends as who cancelled it wants.
        """
        is_over = False

        async def send(reply: Reply) -> None:
            if is_over:
                raise RuntimeError("the call is over: nobody waits for the agent's text any more")
            await call.send(reply)

        task = self._tasks.start(self._run(replace(call, send=send), context))
        try:
            await wait({task})
        except CancelledError:
            task.add_done_callback(partial(_tell_late, context.log))
            raise
        finally:
            is_over = True
            context.models.end()
            task.cancel()
            try:
                # First, for the function may wait for that too: it is not to blame for a slow ledger.
                await context.models.close()
            finally:
                await self._leave(task, context.log)
        if (failure := task.result()) is not None:
            raise failure

    async def _leave(self, task: Task[BaseException | None], log: Log) -> None:
        """Give the function its second to end."""
        try:
            await self._tasks.end(task)
        finally:
            if not task.done():
                log.warning("an agent goes on though its call is over")

    async def _run(self, call: Call[Request], context: AgentContext) -> BaseException | None:
        """Run the function, and end what it leaves behind; return what it raises: SystemExit would end the daemon."""
        try:
            await self._reply(call, context)
        except BaseException as error:  # noqa: BLE001 - the function is somebody else's
            return error
        finally:
            context.models.end()
        return None

    async def _reply(self, call: Call[Request], context: AgentContext) -> None:
        replied: Any = self.function(AgentRequest.of(call.request), context)
        if not isasyncgenfunction(self.function):
            await _send(call, await replied)
            return
        async with aclosing(replied) as texts:
            async for text in texts:
                await _send(call, text)


def load_function(path: str) -> Function:
    """Import the agent that `path`, "package.module:name", names; raise ValueError saying what is wrong with it."""
    function = named(path)
    if not (iscoroutinefunction(function) or isasyncgenfunction(function)):
        raise ValueError(f"{path!r} is neither an `async def` function nor an async generator function")
    try:
        # A decorator is called as it is itself, not as what it wraps.
        signature(function, follow_wrapped=False).bind(None, None)
    except TypeError as error:
        raise ValueError(f"{path!r} must take two arguments, the request and its context: {error}") from error
    return cast("Function", function)


def _tell_late(log: Log, task: Task[BaseException | None]) -> None:
    """Say what an agent raised whose caller had left: nobody else is told of it."""
    failure = None if task.cancelled() else task.result()
    if failure is not None and not isinstance(failure, CancelledError):
        log.warning("an agent failed after its caller had left", error=on_one_line(failure))


async def _send(call: Call[Request], text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"an agent's text must be a str, not {type(text).__name__}")
    if text:
        await call.send(Delta(text))


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> PenstockError | None:
    ours = group.subgroup(PenstockError)
    while ours is not None:
        first = ours.exceptions[0]
        if isinstance(first, PenstockError):
            return first
        ours = first
    return None
