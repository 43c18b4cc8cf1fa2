"""Python agents as the loader finds them, and things that are none."""

from collections.abc import AsyncIterator

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
