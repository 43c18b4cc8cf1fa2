"""A module during whose import somebody at the terminal gives up."""

import os
import signal

from penstockd.agents.context import AgentContext, AgentRequest

os.kill(os.getpid(), signal.SIGINT)


async def run(request: AgentRequest, context: AgentContext) -> str:
    """Answer at once."""
    return request.input
