"""What an answer took, in one line."""

import pytest
from google.protobuf.duration_pb2 import Duration

from penstock.cli.account import account
from penstock.cli.figures import exact_dollars
from penstock.v1.agent_service_pb2 import Attempt, CacheStatus, ProcessResponse, Usage


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [(0, "$0.00"), (123_000, "$0.000123"), (1, "$0.000000001"), (1_500_000_000, "$1.50"), (2_000_000_000, "$2.00")],
)
def test_money_is_exact(nanousd: int, text: str) -> None:
    """No digit is rounded away, and none is added."""
    assert exact_dollars(nanousd) == text


def test_the_line_names_model_tokens_cost_latency_and_attempts() -> None:
    """In that order, and why an attempt failed."""
    response = ProcessResponse(
        model_used="strong",
        usage=Usage(input_tokens=12, output_tokens=30),
        cost_nanousd=123_000,
        latency=Duration(seconds=1, nanos=240_000_000),
        attempts=[Attempt(model="fast", reason="timeout"), Attempt(model="strong")],
    )

    assert account(response) == "strong · 12 in + 30 out · $0.000123 · 1.24 s · 2 attempts (fast: timeout)"


def test_what_is_unusual_is_said() -> None:
    """An estimate, an unknown price and a hit."""
    estimated = ProcessResponse(cost_nanousd=1, cost_estimated=True, attempts=[Attempt(model="fast")])
    hit = ProcessResponse(cache_status=CacheStatus.CACHE_STATUS_HIT, model_used="fast")

    assert account(estimated) == "0 in + 0 out · about $0.000000001 · 0 µs · 1 attempt"
    assert account(hit) == ("fast · 0 in + 0 out · cost unknown · 0 µs · 0 attempts · from the cache")
