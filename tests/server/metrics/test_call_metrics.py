"""Every call is measured once: how long it took, when its caller heard something, and how much of it was ours."""

import pytest

from fakes.calls import PROCESS, REQUEST, STREAM, a_call
from fakes.telescope import Telescope
from penstockd.call import Method
from penstockd.metrics.call_metrics import CallMetrics
from penstockd.outcome import Attempt, CacheStatus, Outcome

CAME = 1000.0
"""The second at which `a_call` came."""


def attempt(asked: float | None, answered: float | None) -> Attempt:
    """An attempt whose model was asked and done so many seconds after the call came."""
    return Attempt(
        model="m",
        started_at=CAME,
        asked_at=None if asked is None else CAME + asked,
        answered_at=None if answered is None else CAME + answered,
    )


def overhead(outcome: Outcome, *, method: Method = PROCESS, duration: float = 1.0) -> list[float]:
    """What of a call was ours, if anything is said of it."""
    telescope = Telescope()
    call = a_call(REQUEST, method=method, outcome=outcome)
    CallMetrics(telescope.instruments).ended(call, code="OK", error_type="", duration=duration)
    return [value for _, value in telescope.points("penstock.overhead")]


def test_a_call_is_measured_by_method_and_ending() -> None:
    """A refusal has an error type, an answer has none."""
    telescope = Telescope()
    metrics = CallMetrics(telescope.instruments)

    metrics.ended(a_call(REQUEST), code="OK", error_type="", duration=0.5)
    metrics.ended(a_call(REQUEST), code="UNAVAILABLE", error_type="UNAVAILABLE", duration=0.25)

    common = {"rpc.system.name": "grpc", "rpc.method": "penstock.v1.AgentService/Process"}
    assert telescope.points("rpc.server.call.duration") == [
        ({**common, "rpc.response.status_code": "OK"}, 0.5),
        ({**common, "rpc.response.status_code": "UNAVAILABLE", "error.type": "UNAVAILABLE"}, 0.25),
    ]
    assert telescope.points("penstock.call.first_content") == []


def test_the_first_content_is_measured_from_the_arrival() -> None:
    """That is what a person waits for."""
    telescope = Telescope()
    call = a_call(REQUEST, outcome=Outcome(first_content_at=CAME + 0.25))

    CallMetrics(telescope.instruments).ended(call, code="OK", error_type="", duration=2.0)

    [(labels, seconds)] = telescope.points("penstock.call.first_content")
    assert (labels, seconds) == ({"rpc.method": "penstock.v1.AgentService/Process"}, 0.25)


@pytest.mark.parametrize(
    ("attempts", "ours"),
    [
        ([], 1.0),
        ([attempt(0.125, 0.875)], 0.25),
        ([attempt(0.125, 0.375), attempt(0.5, 0.875)], 0.375),
        ([attempt(0.125, 0.625), attempt(0.375, 0.875)], 0.25),
        ([attempt(0.125, 0.875), attempt(0.25, 0.5)], 0.25),
        ([attempt(0.125, 0.875), attempt(0.25, 0.375), attempt(0.5, 0.625)], 0.25),
        ([attempt(0.25, None)], 0.25),
        ([attempt(None, None)], 1.0),
    ],
    ids=[
        "none",
        "one",
        "two",
        "two that overlap",
        "one within the other",
        "two within one",
        "one still going on",
        "one refused",
    ],
)
def test_what_models_take_is_not_ours(attempts: list[Attempt], ours: float) -> None:
    """However many are asked, and whether or not at once."""
    assert overhead(Outcome(attempts=attempts)) == [ours]


def test_waiting_for_a_model_is_not_ours() -> None:
    """Nor is a backoff."""
    assert overhead(Outcome(waited=0.25, attempts=[attempt(0.5, 1.0)])) == [0.25]


def test_of_a_stream_only_the_beginning_is_ours() -> None:
    """The rest goes at its reader's pace."""
    outcome = Outcome(first_content_at=CAME + 0.5, attempts=[attempt(0.125, 30.0)])

    assert overhead(outcome, method=STREAM, duration=60.0) == [0.125]


def test_who_joined_another_call_waited_for_its_model() -> None:
    """Nothing is known of how long."""
    assert overhead(Outcome(cache=CacheStatus.COALESCED)) == []
