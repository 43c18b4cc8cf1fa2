"""Asks an agent and prints the answer. Run a daemon first; PENSTOCK_TARGET says where."""

import asyncio

from penstock import AgentClient, PenstockError


async def main() -> None:
    """Ask once."""
    async with AgentClient(timeout=10) as client:
        try:
            response = await client.process("How do I reset my password?", user_id="u-17")
        except PenstockError as error:
            print(f"{error.reason}: {error} (retry after {error.retry_after}, request {error.request_id})")
            return
        print(response.output)
        print(f"{response.model_used}: {response.usage.total_tokens} tokens, {len(response.attempts)} attempt(s)")


asyncio.run(main())
