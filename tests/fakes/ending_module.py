"""A module that asks the daemon to stop while it imports this agent."""

import os
import signal

from penstockd.agents.context import AgentContext, AgentRequest

os.kill(os.getpid(), signal.SIGTERM)


async def run(request: AgentRequest, context: AgentContext) -> str:
    """Answer at once."""
    return request.input
