"""Penstock's client: asks the agents of a Penstock daemon, from asyncio or from threads."""

from penstock.client import AgentClient, Stream
from penstock.errors import (
    AccountingUnavailable,
    AgentNotFound,
    BudgetExhausted,
    ContentFiltered,
    ContextTooLong,
    DeadlineExceeded,
    Draining,
    Internal,
    InvalidRequest,
    ModelNotFound,
    ModelsUnavailable,
    Overloaded,
    PenstockError,
    PermissionDenied,
    PriceUnknown,
    Quota,
    RateLimited,
    StreamBroken,
    Unauthenticated,
    Unimplemented,
    Unreachable,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamTimeout,
    Violation,
)
from penstock.pool import Action
from penstock.request import Options, Turn
from penstock.sync_client import SyncAgentClient, SyncStream
from penstock.tls import TLS
from penstock.usage import UsageOptions
from penstock.v1.agent_service_pb2 import Agent, Message, ProcessResponse
from penstock.v1.pool_service_pb2 import Model
from penstock.v1.usage_service_pb2 import GetUsageResponse

__version__ = "0.1.0"

__all__ = [
    "TLS",
    "AccountingUnavailable",
    "Action",
    "Agent",
    "AgentClient",
    "AgentNotFound",
    "BudgetExhausted",
    "ContentFiltered",
    "ContextTooLong",
    "DeadlineExceeded",
    "Draining",
    "GetUsageResponse",
    "Internal",
    "InvalidRequest",
    "Message",
    "Model",
    "ModelNotFound",
    "ModelsUnavailable",
    "Options",
    "Overloaded",
    "PenstockError",
    "PermissionDenied",
    "PriceUnknown",
    "ProcessResponse",
    "Quota",
    "RateLimited",
    "Stream",
    "StreamBroken",
    "SyncAgentClient",
    "SyncStream",
    "Turn",
    "Unauthenticated",
    "Unimplemented",
    "Unreachable",
    "UpstreamMisconfigured",
    "UpstreamRejected",
    "UpstreamTimeout",
    "UsageOptions",
    "Violation",
]
