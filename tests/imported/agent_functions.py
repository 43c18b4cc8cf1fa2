"""Python agents as the loader finds them, and things that are none."""

from collections.abc import AsyncIterator
from functools import wraps

from penstockd.agents.context import AgentContext, AgentRequest

NOT_CALLABLE = 1


async def replies(request: AgentRequest, context: AgentContext) -> str:
    """Answer at once."""
    return request.input


async def yields(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
    """Answer in two pieces."""
    yield "one "
    yield "two"


def plain(request: AgentRequest, context: AgentContext) -> str:
    """Answer without being async."""
    return request.input


async def takes_one(request: AgentRequest) -> str:
    """Answer without knowing where it runs."""
    return request.input


async def takes_three(request: AgentRequest, context: AgentContext, more: str) -> AsyncIterator[str]:
    """Answer with what nobody gives it."""
    yield more


async def takes_a_name(request: AgentRequest, context: AgentContext, *, name: str) -> str:
    """Answer with what nobody calls it."""
    return name


async def takes_three_at_will(request: AgentRequest, context: AgentContext, more: str = "") -> str:
    """Answer with what it has."""
    return more


@wraps(takes_three)
async def gives_three(request: AgentRequest, context: AgentContext) -> AsyncIterator[str]:
    """Give the third."""
    async for text in takes_three(request, context, "more"):
        yield text
