"""Makes a request that is sent again under the same key the same request."""

from collections.abc import Callable

from msgspec.structs import replace

from penstockd.answers import Answer, Memory
from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.errors import Violation, invalid
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.flights.replay import replay
from penstockd.metrics.instruments import Count
from penstockd.outcome import CacheStatus
from penstockd.request import Request

LINGER = 10.0
"""Seconds for which keyed work goes on when its callers are gone: they may have lost their connection."""


class Idempotency:
    """Joins a keyed call to its twin in flight, or replays the answer that its twin was given."""

    def __init__(
        self, *, memory: Memory, flights: Flights, replays: Count, fingerprint_of: Callable[[Call[Request]], str]
    ) -> None:
        """`fingerprint_of` tells requests apart by all they ask, their names and cache policies left out."""
        self._memory = memory
        self._flights = flights
        self._replays = replays
        self._fingerprint_of = fingerprint_of

    async def __call__(self, call: Call[Request], proceed: Handler[Request]) -> None:
        """Reply as the key's first call did, or proceed; raises InvalidRequest if the key names another request."""
        key = call.request.idempotency_key
        if not key:
            await proceed(call)
            return
        fingerprint = self._fingerprint_of(call)

        async def ride(call: Call[Request]) -> None:
            # The fingerprint is in the flight's name, so that nobody can ever join another request's.
            flight = f"{call.tenant}/{fingerprint}/{key}"
            await self._flights.ride(flight, call, self._remembering(key, fingerprint, proceed))

        await self._once(key, fingerprint, call, ride)

    async def _once(self, key: str, fingerprint: str, call: Call[Request], proceed: Handler[Request]) -> None:
        """Replay the key's answer, or proceed while the key is this request's and no other can claim it."""
        earlier = await self._memory.claim(call.tenant, key, fingerprint)
        if earlier is None:
            try:
                await proceed(call)
            finally:
                await self._memory.release(call.tenant, key, fingerprint)
            return
        if earlier.fingerprint != fingerprint or earlier.answer is None:
            raise invalid(Violation("idempotency_key", "was used for another request"))
        self._replays.add()
        call.outcome.cache = CacheStatus.HIT
        await replay(earlier.answer, call)

    def _remembering(self, key: str, fingerprint: str, proceed: Handler[Request]) -> Handler[Request]:
        """Proceed, and remember the answer before its end goes out; the work may outlive whoever asked for it."""

        async def make(call: Call[Request]) -> None:
            texts: list[str] = []

            async def send(reply: Reply) -> None:
                match reply:
                    case Delta(text=text):
                        texts.append(text)
                    case Completed(finish_reason=finish_reason, model=model):
                        answer = Answer(text="".join(texts), finish_reason=finish_reason, model=model)
                        await self._memory.keep(call.tenant, key, fingerprint, answer)
                await call.send(reply)

            await proceed(replace(call, send=send))

        async def make_once(call: Call[Request]) -> None:
            await self._once(key, fingerprint, call, make)

        return make_once
