"""The contract's methods: what handles each, once the interceptors have let it through."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from penstock.v1 import agent_service_pb2, cache_service_pb2, pool_service_pb2, usage_service_pb2
from penstockd import messages
from penstockd.agent import Agent, Directory
from penstockd.cache_service import CacheService
from penstockd.call import Call, Handler, Method, Q
from penstockd.clock import Clock
from penstockd.endpoint import Endpoint, StreamEdge, WholeEdge
from penstockd.errors import (
    AgentNotFound,
    InvalidRequest,
    ModelNotFound,
    PenstockError,
    PermissionDenied,
    Unauthenticated,
    Violation,
)
from penstockd.model import Model, Pool
from penstockd.principal import KeyRole, Principal
from penstockd.request import Request
from penstockd.resilience.circuit import State, Transition
from penstockd.usage_service import UsageService

SERVICES = (
    "penstock.v1.AgentService",
    "penstock.v1.UsageService",
    "penstock.v1.PoolService",
    "penstock.v1.CacheService",
)


Changed = Callable[[Model, Transition | None], None]


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
    *,
    agents: Directory,
    pool: Pool,
    usage: UsageService,
    cache: CacheService,
    changed: Changed,
    chains: Chains,
    clock: Clock,
) -> list[Endpoint[Any]]:
    """Every method of the contract, composed; `changed` is told what an operator does to a model."""
    generate = chains.generate(partial(_process, agents))
    refuse = chains.refuse(_refuse)
    process = Endpoint(
        method=Method("/penstock.v1.AgentService/Process"),
        read=partial(_read_request, agent_service_pb2.ProcessRequest, agents),
        handle=generate,
        refuse=refuse,
        edge=partial(WholeEdge, clock),
    )
    process_stream = Endpoint(
        method=Method("/penstock.v1.AgentService/ProcessStream", streams=True),
        read=partial(_read_request, agent_service_pb2.ProcessStreamRequest, agents),
        handle=generate,
        refuse=refuse,
        edge=partial(StreamEdge, clock),
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
        process,
        process_stream,
        query(
            "/penstock.v1.AgentService/ListAgents", agent_service_pb2.ListAgentsRequest, partial(_list_agents, agents)
        ),
        query("/penstock.v1.UsageService/GetUsage", usage_service_pb2.GetUsageRequest, usage.get_usage),
        query("/penstock.v1.CacheService/Purge", cache_service_pb2.PurgeRequest, cache.purge),
        query("/penstock.v1.PoolService/ListModels", pool_service_pb2.ListModelsRequest, partial(_list_models, pool)),
        query(
            "/penstock.v1.PoolService/SetModel", pool_service_pb2.SetModelRequest, partial(_set_model, pool, changed)
        ),
    ]


async def _process(agents: Directory, call: Call[Request]) -> None:
    agent = agents.find(call.request.agent)
    if agent is None:
        raise _unknown(call.request.agent)
    call.outcome.agent = agent.name
    await agent(call)


def _unknown(name: str) -> AgentNotFound:
    where = "ListAgents names those there are"
    if name.startswith("model/"):
        where = "ListModels names the models, which can be asked bare where allow_bare_models is on"
    return AgentNotFound(f"there is no agent called {name[:63]!r}; {where}")


async def _list_agents(agents: Directory, call: Call[agent_service_pb2.ListAgentsRequest]) -> None:
    usable = [agent for agent in agents.listed if _caller(call).may_use(agent.name)]
    listed = [_agent(agent, is_default=agent.name == agents.default) for agent in usable]
    await call.send(agent_service_pb2.ListAgentsResponse(agents=listed))


async def _list_models(pool: Pool, call: Call[pool_service_pb2.ListModelsRequest]) -> None:
    listed = [_model(model) for _, model in sorted(pool.models.items())]
    await call.send(pool_service_pb2.ListModelsResponse(models=listed))


async def _set_model(pool: Pool, changed: Changed, call: Call[pool_service_pb2.SetModelRequest]) -> None:
    if _caller(call).role is not KeyRole.OPERATOR:
        raise PermissionDenied("only a key whose role is operator may change the pool")
    if not call.request.name:
        violation = Violation("name", "must not be empty")
        raise InvalidRequest(f"name {violation.description}", violations=[violation])
    model = pool.models.get(call.request.name)
    if model is None:
        raise ModelNotFound(f"there is no model called {call.request.name[:63]!r}; ListModels names those there are")
    match call.request.action:
        case pool_service_pb2.MODEL_ACTION_ENABLE:
            transition = model.breaker.enable()
        case pool_service_pb2.MODEL_ACTION_DISABLE:
            transition = model.breaker.disable()
        case pool_service_pb2.MODEL_ACTION_FORCE_OPEN:
            transition = model.breaker.force_open("forced open by an operator")
        case _:
            violation = Violation("action", "must be MODEL_ACTION_ENABLE, _DISABLE or _FORCE_OPEN")
            raise InvalidRequest(f"action {violation.description}", violations=[violation])
    changed(model, transition)
    await call.send(pool_service_pb2.SetModelResponse(model=_model(model)))


def _caller(call: Call[Q]) -> Principal:
    """Who is calling; nobody where no auth came before, which no chain forgets."""
    if call.outcome.principal is None:
        raise Unauthenticated("the call carries no valid credentials")
    return call.outcome.principal


async def _refuse(call: Call[PenstockError]) -> None:
    raise call.request


def _read_request(message_type: Callable[[], Any], agents: Directory, data: bytes) -> Request:
    return messages.read_request(messages.parse(message_type, data), default_agent=agents.default)


def _agent(agent: Agent, *, is_default: bool) -> agent_service_pb2.Agent:
    return agent_service_pb2.Agent(
        name=agent.name,
        description=agent.description,
        models=agent.models,
        streams=agent.streams,
        is_default=is_default,
    )


_STATES = {
    State.CLOSED: pool_service_pb2.BREAKER_STATE_CLOSED,
    State.OPEN: pool_service_pb2.BREAKER_STATE_OPEN,
    State.HALF_OPEN: pool_service_pb2.BREAKER_STATE_HALF_OPEN,
}


def _model(model: Model) -> pool_service_pb2.Model:
    wait = model.breaker.wait()
    first_content = model.latency.ewma
    return pool_service_pb2.Model(
        name=model.name,
        provider=model.provider,
        upstream_model=model.upstream_name,
        enabled=model.breaker.is_enabled,
        breaker_state=_STATES[model.breaker.state],
        in_flight=model.permits.in_flight,
        max_in_flight=model.permits.limit,
        error_rate=model.breaker.error_rate,
        time_to_first_token=None if first_content is None else messages.duration(first_content),
        next_probe_in=messages.duration(wait) if 0 < wait < float("inf") else None,
        limits=_limits(model),
        cause=model.breaker.cause or "",
    )


def _limits(model: Model) -> list[pool_service_pb2.ModelLimit]:
    buckets = {"requests": model.allowance.requests, "tokens": model.allowance.tokens}
    return [
        pool_service_pb2.ModelLimit(unit=unit, rate=model.grants[unit], remaining=int(bucket.remaining))
        for unit, bucket in buckets.items()
        if bucket is not None
    ]
