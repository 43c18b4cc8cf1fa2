"""Lookups of names that take as long as a test wants."""

import asyncio
import socket
from threading import Event, Thread
from threading import enumerate as living

from penstockd.models.providers.origin import Origin
from penstockd.models.providers.resolver import Addresses

PATIENCE = 10.0
"""Seconds after which a lookup that nobody lets go ends by itself."""


def at(*ports: int) -> Addresses:
    """Addresses of this machine."""
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port)) for port in ports]


class HeldLookup:
    """Does not answer until it is let go, and then the same to everybody; counts how often it was asked."""

    def __init__(self, answer: Addresses | OSError) -> None:
        self.answer = answer
        self.asked = 0
        self._let_go = Event()

    def __call__(self, host: str, port: int) -> Addresses:
        self.asked += 1
        self._let_go.wait(PATIENCE)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer

    async def let_go(self, origin: Origin) -> None:
        """Answer from now on; returns when those who wait for `origin` have been told."""
        self._let_go.set()
        for thread in threads(origin):
            await asyncio.to_thread(thread.join)
        await asyncio.sleep(0)


def threads(origin: Origin) -> list[Thread]:
    """The threads that look up its host."""
    return [thread for thread in living() if thread.name == f"resolver-{origin.host}"]
