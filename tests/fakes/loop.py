"""The turns of an event loop that a test gives to what it has set going."""

import asyncio


async def settled() -> None:
    """Return when everybody who could go on without anything new has done so."""
    for _ in range(20):
        await asyncio.sleep(0)
