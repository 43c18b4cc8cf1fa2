"""Where a host is, looked up without holding up anybody else."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TypeAlias

from aiohappyeyeballs import AddrInfoType

from penstockd.models.providers.origin import Origin

LATE = 60.0
"""Seconds for which addresses are still good that came when nobody waited for them any more."""

Addresses: TypeAlias = Sequence[AddrInfoType]
Lookup: TypeAlias = Callable[[str, int], Addresses]
"""Finds where a host is, as `socket.getaddrinfo` does; it may block for as long as it likes."""

system_lookup: Lookup = partial(socket.getaddrinfo, type=socket.SOCK_STREAM)


class Resolver:
    """Resolves one host by one lookup at a time, which all who ask meanwhile share.

    A lookup cannot be ended, and lasts for long where no name server answers. Each has a thread of its own, as the few
    threads that the event loop has for lookups would then be lacking to the hosts that can be found. The process does
    not wait for it at its end.
    """

    def __init__(self, origin: Origin, look_up: Lookup) -> None:
        self._origin = origin
        self._look_up = look_up
        self._known = _numeric(origin)
        self._asked: asyncio.Future[Addresses] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    async def addresses(self) -> Addresses:
        """Return where it is; raise OSError if that cannot be found. Cancelled, it leaves the answer to the next."""
        if self._known:
            return self._known
        asked = self._asked = self._asked or self._ask()
        await asyncio.wait((asked,))  # unlike awaiting it, this does not cancel it
        self._forget(asked)
        return asked.result()

    def _ask(self) -> asyncio.Future[Addresses]:
        loop = asyncio.get_running_loop()
        asked = loop.create_future()
        asked.add_done_callback(self._answered)
        thread = Thread(target=self._run, args=(loop, asked), name=f"resolver-{self._origin.host}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads
            raise OSError(f"cannot be looked up: {error}") from error
        return asked

    def _run(self, loop: asyncio.AbstractEventLoop, asked: asyncio.Future[Addresses]) -> None:
        answer: Callable[[], None]
        try:
            answer = partial(asked.set_result, self._look_up(self._origin.host, self._origin.port))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            answer = partial(asked.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(answer)

    def _answered(self, asked: asyncio.Future[Addresses]) -> None:
        # Looking at a failure that came too late for anybody also keeps asyncio from reporting it.
        if asked.exception() is not None:
            self._forget(asked)
        else:
            self._expiry = asked.get_loop().call_later(LATE, self._forget, asked)

    def _forget(self, asked: asyncio.Future[Addresses]) -> None:
        if self._asked is asked:
            self._asked = None
            if self._expiry is not None:
                self._expiry.cancel()


def _numeric(origin: Origin) -> Addresses:
    """The address that a host is, or none if it is a name; nobody is asked for that."""
    with suppress(socket.gaierror):
        return socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return ()
