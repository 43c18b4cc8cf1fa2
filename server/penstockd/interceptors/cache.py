"""Answers repeats from what was answered before, and identical calls at once with one answer."""

from collections.abc import Awaitable, Callable
from functools import partial

from penstockd import conventions as names
from penstockd.agent import Agent, Directory
from penstockd.answers import Answer, Answers, Lookups
from penstockd.call import Call, Handler
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.flights.replay import replay
from penstockd.outcome import CacheStatus
from penstockd.request import CachePolicy, Request
from penstockd.tracing import present


class Cache:
    """Looks an answer up, joins the work on it, or has it made and kept: as far as agent and caller want it."""

    def __init__(
        self,
        *,
        agents: Directory,
        answers: Answers,
        lookups: Lookups,
        flights: Flights,
        key_of: Callable[[Call[Request], Agent], str],
    ) -> None:
        """`key_of` tells apart whatever may shape an answer, the tenant first; `lookups` are counted."""
        self._agents = agents
        self._answers = answers
        self._lookups = lookups
        self._flights = flights
        self._key_of = key_of

    def __call__(self, call: Call[Request], proceed: Handler[Request]) -> Awaitable[None]:
        """Reply from the cache or from a flight, or proceed."""
        agent = self._agents.find(call.request.agent)
        if agent is None or agent.caching is None or call.request.cache is CachePolicy.OFF:
            return proceed(call)
        return self._cached(call, agent, agent.caching.ttl, proceed)

    async def _cached(self, call: Call[Request], agent: Agent, ttl: float, proceed: Handler[Request]) -> None:
        policy, again = call.request.cache, proceed
        call.outcome.agent = agent.name
        key = self._key_of(call, agent)
        if policy.reads:
            landed = self._flights.landed
            if (kept := await self._answers.get(key)) is not None:
                await self._replay(kept, call)
                return
            self._lookups.misses += 1
            call.outcome.cache = CacheStatus.MISS
            if trace := present():
                trace.note(names.CACHE_EVENT, {names.PENSTOCK_CACHE_STATUS: CacheStatus.MISS})
            again = partial(self._unless_kept, key, proceed)
            # A flight that is in the air is joined; it can only have landed and kept the answer since if any did.
            if self._flights.landed != landed:
                proceed = again
        elif policy.writes:
            self._flights.keep_nothing(key)
        keep = partial(self._answers.put, key, ttl=ttl) if policy.writes else None
        flight = key if policy.joins else f"{key}/{call.outcome.call_id}"
        await self._flights.ride(flight, call, proceed, keep, again=again)

    async def _unless_kept(self, key: str, proceed: Handler[Request], call: Call[Request]) -> None:
        kept = await self._answers.get(key)
        await (proceed(call) if kept is None else self._replay(kept, call))

    def _replay(self, answer: Answer, call: Call[Request]) -> Awaitable[None]:
        self._lookups.hits += 1
        return replay(answer, call)
