"""Makes a request that is sent again under the same key the same request."""

from collections.abc import Callable

from msgspec.structs import replace

from penstockd.answers import Answer, Memory
from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.errors import InvalidRequest, Violation
from penstockd.interceptors.flights import Flights
from penstockd.interceptors.replay import replay
from penstockd.outcome import CacheStatus
from penstockd.request import Request

LINGER = 10.0
"""Seconds for which keyed work goes on when its callers are gone: they may have lost their connection."""


class Idempotency:
    """Joins a keyed call to its twin in flight, or replays the answer that its twin was given."""

    def __init__(self, *, memory: Memory, flights: Flights, fingerprint_of: Callable[[Call[Request]], str]) -> None:
        """`fingerprint_of` tells requests apart by all they ask, their names and cache policies left out."""
        self._memory = memory
        self._flights = flights
        self._fingerprint_of = fingerprint_of

    async def __call__(self, call: Call[Request], proceed: Handler[Request]) -> None:
        """Reply as the key's first call did, or proceed; raises InvalidRequest if the key names another request."""
        key = call.request.idempotency_key
        if not key:
            await proceed(call)
            return
        fingerprint = self._fingerprint_of(call)
        earlier = await self._memory.claim(call.tenant, key, fingerprint)
        if earlier is not None and earlier.fingerprint != fingerprint:
            violation = Violation("idempotency_key", "was used for another request")
            raise InvalidRequest(f"idempotency_key {violation.description}", violations=[violation])
        if earlier is not None and earlier.answer is not None:
            call.outcome.cache = CacheStatus.HIT
            await replay(earlier.answer, call)
            return
        await self._flights.ride(f"{call.tenant}/{key}", call, self._remembering(key, fingerprint, proceed))

    def _remembering(self, key: str, fingerprint: str, proceed: Handler[Request]) -> Handler[Request]:
        """Proceed, and remember the answer before its end goes out; forget the claim if there is none."""

        async def make(call: Call[Request]) -> None:
            texts: list[str] = []
            is_kept = False

            async def send(reply: Reply) -> None:
                nonlocal is_kept
                match reply:
                    case Delta(text=text):
                        texts.append(text)
                    case Completed(finish_reason=finish_reason, model=model):
                        answer = Answer(text="".join(texts), finish_reason=finish_reason, model=model)
                        await self._memory.keep(call.tenant, key, fingerprint, answer)
                        is_kept = True
                await call.send(reply)

            try:
                await proceed(replace(call, send=send))
            finally:
                if not is_kept:
                    await self._memory.release(call.tenant, key, fingerprint)

        return make
