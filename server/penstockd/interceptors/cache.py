"""Answers repeats from what was answered before, and identical calls at once with one answer."""

from collections.abc import Callable

from msgspec.structs import replace

from penstockd.agent import Agent, Caching, Directory
from penstockd.answers import Answer, Answers
from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.interceptors.flights import Flights
from penstockd.interceptors.replay import replay
from penstockd.outcome import CacheStatus, FinishReason
from penstockd.request import Request


class Cache:
    """Looks an answer up, joins the work on it, or has it made and kept: as far as agent and caller want it."""

    def __init__(
        self, *, agents: Directory, answers: Answers, flights: Flights, key_of: Callable[[Call[Request], Agent], str]
    ) -> None:
        """`key_of` tells apart whatever may shape an answer, the tenant first."""
        self._agents = agents
        self._answers = answers
        self._flights = flights
        self._key_of = key_of

    async def __call__(self, call: Call[Request], proceed: Handler[Request]) -> None:
        """Reply from the cache or from a flight, or proceed."""
        agent = self._agents.find(call.request.agent)
        caching = agent.caching if agent else None
        if agent is None or caching is None:
            await proceed(call)
            return
        policy = call.request.cache
        key = self._key_of(call, agent)
        if policy.reads:
            answer = await self._answers.get(call.tenant, key)
            if answer is not None:
                call.outcome.cache = CacheStatus.HIT
                await replay(answer, call)
                return
            call.outcome.cache = CacheStatus.MISS
        make = self._keeping(key, caching, proceed) if policy.writes else proceed
        if policy.joins:
            await self._flights.ride(key, call, make)
        else:
            await make(call)

    def _keeping(self, key: str, caching: Caching, proceed: Handler[Request]) -> Handler[Request]:
        """Proceed, and keep the answer if it is whole: neither broken nor cut at a length."""

        async def make(call: Call[Request]) -> None:
            texts: list[str] = []

            async def send(reply: Reply) -> None:
                await call.send(reply)
                match reply:
                    case Delta(text=text):
                        texts.append(text)
                    case Completed(finish_reason=FinishReason.STOP, model=model):
                        answer = Answer(text="".join(texts), finish_reason=FinishReason.STOP, model=model)
                        await self._answers.put(call.tenant, key, answer, caching.ttl)

            await proceed(replace(call, send=send))

        return make
