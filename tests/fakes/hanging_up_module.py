"""A module that hangs up on the daemon while it starts and imports this agent."""

import os
import signal

from penstockd.agents.context import AgentContext, AgentRequest

os.kill(os.getpid(), signal.SIGHUP)


async def run(request: AgentRequest, context: AgentContext) -> str:
    """Answer at once."""
    return request.input
