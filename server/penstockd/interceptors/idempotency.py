"""Makes a request that is sent again under the same key the same request."""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec.structs import replace

from penstockd.answers import Answer
from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.errors import Violation, invalid
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.flights.replay import replay
from penstockd.keyed_answers import KeyedAnswers
from penstockd.metrics.instruments import Count
from penstockd.request import Request

LINGER = 10.0
"""Seconds for which keyed work goes on when its callers are gone: they may have lost their connection."""


class Idempotency:
    """Joins a keyed call to its twin in flight, or replays the answer that its twin was given."""

    def __init__(
        self,
        *,
        answers: KeyedAnswers,
        flights: Flights,
        replays: Count,
        fingerprint_of: Callable[[Call[Request]], str],
    ) -> None:
        """`fingerprint_of` tells requests apart by all they ask, their names and cache policies left out."""
        self._answers = answers
        self._flights = flights
        self._replays = replays
        self._fingerprint_of = fingerprint_of

    def __call__(self, call: Call[Request], proceed: Handler[Request]) -> Awaitable[None]:
        """Reply as the key's first call did, or proceed; raises InvalidRequest if the key names another request."""
        key = call.request.idempotency_key
        return self._keyed(key, call, proceed) if key else proceed(call)

    async def _keyed(self, key: str, call: Call[Request], proceed: Handler[Request]) -> None:
        fingerprint = self._fingerprint_of(call)
        make = partial(self._make, key, fingerprint, proceed)
        # The work has a share of the claim of its own: it may outlive whoever asked for it.
        work = partial(self._once, key, fingerprint, make)
        # The fingerprint is in the flight's name, so that nobody can ever join another request's.
        ride = partial(self._flights.ride, f"{call.tenant}/{fingerprint}/{key}", proceed=work)
        await self._once(key, fingerprint, ride, call)

    async def _once(self, key: str, fingerprint: str, proceed: Handler[Request], call: Call[Request]) -> None:
        """Replay the key's answer, or proceed while the key is this request's and no other can claim it."""
        earlier = await self._answers.claim(call.tenant, key, fingerprint)
        if earlier is None:
            try:
                await proceed(call)
            finally:
                await self._answers.release(call.tenant, key, fingerprint)
            return
        if earlier.fingerprint != fingerprint or earlier.answer is None:
            raise invalid(Violation("idempotency_key", "was used for another request"))
        self._replays.add()
        await replay(earlier.answer, call)

    async def _make(self, key: str, fingerprint: str, proceed: Handler[Request], call: Call[Request]) -> None:
        """Proceed, and remember the answer before its end goes out."""
        texts: list[str] = []

        async def send(reply: Reply) -> None:
            match reply:
                case Delta(text=text):
                    texts.append(text)
                case Completed(finish_reason=finish_reason):
                    answer = Answer(text="".join(texts), finish_reason=finish_reason, model=call.outcome.model)
                    await self._answers.keep(call.tenant, key, fingerprint, answer)
            await call.send(reply)

        await proceed(replace(call, send=send))
