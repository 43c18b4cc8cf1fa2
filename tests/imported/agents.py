"""Agents as an operator writes them, for a real daemon to import."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from penstockd.agents.context import AgentContext, AgentRequest
from penstockd.agents.models import Answer
from penstockd.errors import InvalidRequest, Overloaded

SECRET = "hunter2-in-the-message"
_left_behind: set[asyncio.Task[Answer]] = set()


async def greets(request: AgentRequest, context: AgentContext) -> str:
    """Answer without asking any model."""
    return f"{context.tenant}/{request.user_id} says {request.input} after {len(request.history)}"


async def counts(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
    """Say one, two, three, a word at a time."""
    for word in ("one", " two", " three"):
        yield word
        await asyncio.sleep(0)


async def asks(request: AgentRequest, context: AgentContext) -> str:
    """Ask the route's model twice, the second time about its first answer."""
    first = await context.models.ask(request.input)
    second = await context.models.ask([("user", request.input), ("assistant", first.output), ("user", "and then?")])
    return f"{first.output}, {second.output}"


async def shouts(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
    """Pass on what the route's model says, louder."""
    async for text in context.models.stream(request.input):
        yield text.upper()


async def asks_elsewhere(request: AgentRequest, context: AgentContext) -> str:
    """Ask by another route than the agent's own."""
    return (await context.models.ask(request.input, route="other")).output


async def leaves(request: AgentRequest, context: AgentContext) -> str:
    """Ask the route's model, and answer before it does."""
    _left_behind.add(asyncio.create_task(context.models.ask(request.input)))
    await asyncio.sleep(0.2)
    return "gone"


async def refuses_oddly(request: AgentRequest, context: AgentContext) -> str:
    """Refuse with an exception where a text belongs, as people do."""
    raise InvalidRequest(ValueError(SECRET))  # type: ignore[arg-type]


class Shut(Overloaded):
    """An error of the agent's own, which says itself what happened."""

    def __init__(self) -> None:
        super().__init__("the shop is shut", retry_after=1.5)


async def is_shut(request: AgentRequest, context: AgentContext) -> str:
    """Refuse in its own words."""
    raise Shut


class Quit(BaseException):
    """What a library might end its own work with."""


async def quits(request: AgentRequest, context: AgentContext) -> str:
    """Raise what hardly anybody catches."""
    raise Quit(SECRET)


async def fails(request: AgentRequest, context: AgentContext) -> str:
    """Raise what no caller may read."""
    raise ValueError(SECRET)


async def fails_late(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
    """Raise what no caller may read, after some text."""
    yield "so far so good"
    raise ValueError(SECRET)


async def cancels_itself(request: AgentRequest, context: AgentContext) -> str:
    """Let a cancellation escape that nobody asked for."""
    raise asyncio.CancelledError


async def leaks(request: AgentRequest, context: AgentContext) -> str:
    """Tell the log in three ways what it was told."""
    context.log.warning("the agent says", told=request.input)
    logging.getLogger("library").warning("a library says %s", request.input)
    raise ValueError(request.input)


async def stays(request: AgentRequest, context: AgentContext) -> str:
    """Take no end for one."""
    context.log.info("begun")
    while True:
        with suppress(BaseException):
            await asyncio.sleep(60.0)


async def waits_in_a_thread(request: AgentRequest, context: AgentContext) -> str:
    """Wait where nothing can be cancelled."""
    context.log.info("begun")
    await asyncio.to_thread(threading.Event().wait)
    return ""


async def blocks(request: AgentRequest, context: AgentContext) -> str:
    """Hold up everybody else, for the seconds that it is told."""
    time.sleep(float(request.input))  # noqa: ASYNC251 - that is its mistake
    return "done"
