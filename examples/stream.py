"""Asks an agent and prints the answer as it is written. Run a daemon first; PENSTOCK_TARGET says where."""

import asyncio

from penstock import AgentClient


async def main() -> None:
    """Continue a conversation."""
    history = [("user", "Hello!"), ("assistant", "Hello, how can I help?")]
    async with AgentClient() as client, client.stream("Tell me a story.", history=history, timeout=60) as stream:
        async for text in stream:
            print(text, end="", flush=True)
        print(f"\n{stream.response.usage.output_tokens} tokens of output")


asyncio.run(main())
