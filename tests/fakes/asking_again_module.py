"""A module that asks the daemon to stop when it has stopped, and its interpreter is about to end."""

import atexit
import os
import signal

from penstockd.agents.context import AgentContext, AgentRequest

atexit.register(os.kill, os.getpid(), signal.SIGTERM)


async def run(request: AgentRequest, context: AgentContext) -> str:
    """Answer at once."""
    return request.input
