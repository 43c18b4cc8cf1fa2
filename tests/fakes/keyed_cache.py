"""Idempotency with the cache inside, as the daemon has them: work that is shared twice, on a clock that jumps."""

from fakes.caching import SECRET, KeptAgent, answers
from fakes.calls import REQUEST
from fakes.clock import FakeClock
from fakes.shared_work import Caller, Work
from fakes.virtual_time import VirtualClock
from penstockd.agent import Directory
from penstockd.answer_keys import AnswerKeys
from penstockd.answers import Lookups
from penstockd.call import chain
from penstockd.interceptors.cache import Cache
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.idempotency import Idempotency
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Count
from penstockd.request import Request
from penstockd.stores.memory_idempotency import MemoryIdempotency


class KeyedCache:
    """Both around work that a test steers; it lingers for a second."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.work = Work()
        keys = AnswerKeys(SECRET)
        idempotency = Idempotency(
            answers=MemoryIdempotency(clock),
            flights=Flights(clock, log=Log("test"), linger=1.0),
            replays=Count(),
            fingerprint_of=keys.fingerprint_of,
        )
        cache = Cache(
            agents=Directory([KeptAgent()], default="default"),
            answers=answers(FakeClock()),
            lookups=Lookups(),
            flights=Flights(clock, log=Log("test")),
            key_of=keys.key_of,
        )
        self._handle = chain([idempotency, cache], self.work)

    @property
    def ends_in(self) -> float:
        """Seconds until the time of the work is over, of which there is one piece."""
        [call] = self.work.calls
        return call.ends_at - self.clock.monotonic()

    def asks(self, request: Request = REQUEST, *, within: float, **caller: object) -> Caller:
        """Let a caller ask who has so many seconds."""
        it = Caller(request, expires_at=self.clock.monotonic() + within, **caller)  # type: ignore[arg-type]  # as Caller takes it
        return it.starts(self._handle)
