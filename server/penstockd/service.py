"""The contract's methods: what handles each, once the interceptors have let it through."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from penstock.v1 import agent_service_pb2, cache_service_pb2, pool_service_pb2, usage_service_pb2
from penstockd import messages
from penstockd.call import PROCESS, PROCESS_STREAM, Call, Handler, Method, Q
from penstockd.clock import Clock
from penstockd.endpoint import Endpoint, StreamEdge, WholeEdge
from penstockd.errors import PenstockError
from penstockd.request import Request
from penstockd.services.agents import AgentService, Asks
from penstockd.services.cache import CacheService
from penstockd.services.pool import PoolService
from penstockd.services.usage import UsageService

AGENTS = "penstock.v1.AgentService"
USAGE = "penstock.v1.UsageService"
POOL = "penstock.v1.PoolService"
CACHE = "penstock.v1.CacheService"
SERVICES = (AGENTS, USAGE, POOL, CACHE)


class Compose(Protocol):
    """Wraps a handler in interceptors."""

    def __call__(self, handler: Handler[Q], /) -> Handler[Q]:
        """Return the wrapped handler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """The interceptors of generating calls, of calls that only look or steer, and of requests that cannot be read."""

    generate: Callable[[Handler[Request]], Handler[Request]]
    query: Compose
    refuse: Compose


def endpoints(
    *, agents: AgentService, usage: UsageService, pool: PoolService, cache: CacheService, chains: Chains, clock: Clock
) -> list[Endpoint[Any]]:
    """Every method of the contract, composed."""
    handle, refuse = chains.generate(agents.process), chains.refuse(_refuse)

    def generating(method: Method, message_type: Asks, edge: type[WholeEdge | StreamEdge]) -> Endpoint[Request]:
        return Endpoint(
            method=method,
            read=partial(agents.read, message_type),
            handle=handle,
            refuse=refuse,
            edge=partial(edge, clock),
        )

    def query(path: str, message_type: Callable[[], messages.M], handler: Handler[messages.M]) -> Endpoint[messages.M]:
        return Endpoint(
            method=Method(path),
            read=partial(messages.parse, message_type),
            handle=chains.query(handler),
            refuse=refuse,
            edge=partial(WholeEdge, clock),
        )

    return [
        generating(PROCESS, agent_service_pb2.ProcessRequest, WholeEdge),
        generating(PROCESS_STREAM, agent_service_pb2.ProcessStreamRequest, StreamEdge),
        query(f"/{AGENTS}/ListAgents", agent_service_pb2.ListAgentsRequest, agents.list_agents),
        query(f"/{USAGE}/GetUsage", usage_service_pb2.GetUsageRequest, usage.get_usage),
        query(f"/{POOL}/ListModels", pool_service_pb2.ListModelsRequest, pool.list_models),
        query(f"/{POOL}/SetModel", pool_service_pb2.SetModelRequest, pool.set_model),
        query(f"/{CACHE}/Purge", cache_service_pb2.PurgeRequest, cache.purge),
    ]


async def _refuse(call: Call[PenstockError]) -> None:
    raise call.request
