"""Every call ends, at the nearest of what its caller asked and what the daemon allows."""

import asyncio

import pytest

from fakes import virtual_time
from fakes.calls import PROCESS, REQUEST, STREAM, Inner, a_call, ending
from fakes.virtual_time import VirtualClock
from penstockd.call import Call, Method
from penstockd.errors import DeadlineExceeded
from penstockd.interceptors.deadline import Deadline
from penstockd.request import Request

HOUR = 3600.0


class Hanging:
    """A handler that never ends, and knows how it was ended."""

    def __init__(self) -> None:
        self.was_cancelled = False

    async def __call__(self, call: Call[Request]) -> None:
        try:
            await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


def ended(handler: Hanging | Inner, *, within: float = float("inf"), method: Method = PROCESS) -> tuple[object, float]:
    """Handle a call under a default of 30 s, 120 s for unary calls and 600 s for streams; its error and its seconds."""
    clock = VirtualClock()
    deadline = Deadline(clock=clock, default=30.0, longest_unary=120.0, longest_stream=600.0)
    call = a_call(REQUEST, method=method, expires_at=1000.0 + within)

    async def guarded(call: Call[Request]) -> None:
        await deadline(call, handler)

    error = virtual_time.run(clock, ending(call, guarded))
    return error, clock.monotonic() - 1000.0


@pytest.mark.parametrize("method", [PROCESS, STREAM])
def test_a_call_without_a_deadline_gets_the_default(method: Method) -> None:
    """The handler is cancelled, and the caller told why."""
    handler = Hanging()

    error, seconds = ended(handler, method=method)

    assert isinstance(error, DeadlineExceeded)
    assert seconds == pytest.approx(30.0)
    assert handler.was_cancelled


@pytest.mark.parametrize(("method", "seconds"), [(PROCESS, 120.0), (STREAM, 600.0)])
def test_no_call_is_longer_than_the_longest_allowed(method: Method, seconds: float) -> None:
    """A caller that asks for an hour gets what the daemon allows."""
    error, took = ended(Hanging(), within=HOUR, method=method)

    assert isinstance(error, DeadlineExceeded)
    assert took == pytest.approx(seconds)


def test_a_callers_own_deadline_is_left_to_grpc() -> None:
    """gRPC cancels the call then; no timer of ours runs beside it, and the call passes as it is."""
    handler = Inner()

    error, _ = ended(handler, within=10.0)

    assert error is None
    assert handler.calls[0].expires_at == 1010.0


def test_inner_layers_see_the_limit_that_holds() -> None:
    """Whoever splits the time splits the right one."""
    handler = Inner()

    ended(handler)

    assert handler.calls[0].expires_at == 1030.0


@pytest.mark.parametrize("within", [0.0, 0.019, -5.0])
def test_a_hopeless_call_is_not_started(within: float) -> None:
    """Under 20 ms nothing could come of it."""
    handler = Inner()

    error, _ = ended(handler, within=within)

    assert isinstance(error, DeadlineExceeded)
    assert handler.calls == []


def test_a_timeout_of_the_handlers_own_is_not_ours() -> None:
    """Another's TimeoutError stays what it is."""
    mine = TimeoutError("a socket's")

    error, _ = ended(Inner(mine))

    assert error is mine
