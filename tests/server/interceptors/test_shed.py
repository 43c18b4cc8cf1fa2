"""The daemon says no before it has too much on its hands."""

import asyncio
from functools import partial

import pytest

from fakes.calls import REQUEST, Inner, a_call, ending
from penstockd.call import Call, chain
from penstockd.errors import Overloaded
from penstockd.interceptors.shed import Shed
from penstockd.metrics.instruments import Instruments
from penstockd.request import Request
from penstockd.resilience.permits import Permits


async def test_a_call_too_many_is_refused_at_once() -> None:
    """It is told to come back soon; the one that was admitted finishes and makes room."""
    permits, admitted, release, instruments = Permits(1), asyncio.Event(), asyncio.Event(), Instruments()

    async def wait(_: Call[Request]) -> None:
        admitted.set()
        await release.wait()

    handler = chain([Shed(permits, random=lambda: 0.5, instruments=instruments)], wait)
    first = asyncio.ensure_future(ending(a_call(REQUEST), handler))
    await admitted.wait()

    refused = await ending(a_call(REQUEST), handler)
    release.set()

    assert isinstance(refused, Overloaded)
    assert refused.retry_after == pytest.approx(0.3)
    assert await first is None
    assert [(counter.name, counter.of().value) for counter in instruments.counters] == [("penstock.shed", 1)]
    assert permits.in_flight == 0


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError()], ids=repr)
async def test_a_permit_comes_back_whatever_happens(error: BaseException) -> None:
    """Nothing that a call does keeps its place."""
    permits = Permits(1)

    shed = Shed(permits, random=lambda: 0.0, instruments=Instruments())
    found = await ending(a_call(REQUEST), partial(shed, proceed=Inner(error)))

    assert type(found) is type(error)
    assert permits.in_flight == 0
