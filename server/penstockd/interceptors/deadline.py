"""Gives every call an end."""

import asyncio
from collections.abc import Awaitable
from math import isinf

from msgspec.structs import replace

from penstockd.call import Call, Handler, Q
from penstockd.clock import Clock
from penstockd.errors import DeadlineExceeded
from penstockd.resilience.deadline import MINIMUM


class Deadline:
    """Ends a call at the caller's deadline, or the default one, but never later than the longest call allowed.

    gRPC itself cancels a call at the caller's deadline, so a timer of ours runs only where the limit is nearer.
    """

    def __init__(self, *, clock: Clock, default: float, longest_unary: float, longest_stream: float) -> None:
        """All in seconds."""
        self._clock = clock
        self._default = default
        self._longest_unary = longest_unary
        self._longest_stream = longest_stream

    def __call__(self, call: Call[Q], proceed: Handler[Q]) -> Awaitable[None]:
        """Proceed with the call's limit; raise DeadlineExceeded when it passes, or if it is hopeless already."""
        now = self._clock.monotonic()
        asked = now + self._default if isinf(call.expires_at) else call.expires_at
        limit = min(asked, now + (self._longest_stream if call.method.streams else self._longest_unary))
        if limit - now < MINIMUM:
            raise DeadlineExceeded("too little time is left to answer")
        if call.expires_at == limit:
            return proceed(call)
        return _within(limit - now, replace(call, expires_at=limit), proceed)


async def _within(seconds: float, call: Call[Q], proceed: Handler[Q]) -> None:
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            await proceed(call)
    except TimeoutError as error:
        if not timer.expired():
            raise
        raise DeadlineExceeded("the call took longer than the server allows") from error
