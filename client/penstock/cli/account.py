"""What an answer took, in one line for people."""

from penstock.cli import figures
from penstock.status import to_seconds
from penstock.v1.agent_service_pb2 import CacheStatus, ProcessResponse

_CACHE = {CacheStatus.CACHE_STATUS_HIT: "from the cache", CacheStatus.CACHE_STATUS_COALESCED: "joined a running call"}


def account(response: ProcessResponse) -> str:
    """Return model, tokens, cost, latency and attempts, and what is unusual about the answer."""
    usage = response.usage
    parts = [
        response.model_used,
        f"{usage.input_tokens} in + {usage.output_tokens} out",
        _cost(response),
        figures.seconds(to_seconds(response.latency)),
        _attempts(response),
        _CACHE.get(response.cache_status, ""),
    ]
    return " · ".join(part for part in parts if part)


def _cost(response: ProcessResponse) -> str:
    if not response.HasField("cost_nanousd"):
        return "cost unknown"
    return f"{'about ' if response.cost_estimated else ''}{figures.exact_dollars(response.cost_nanousd)}"


def _attempts(response: ProcessResponse) -> str:
    failed = [f"{attempt.model}: {attempt.reason}" for attempt in response.attempts if attempt.reason]
    count = len(response.attempts)
    return f"{count} attempt{'' if count == 1 else 's'}" + (f" ({', '.join(failed)})" if failed else "")
