"""Answers are counted while they are made."""

import asyncio

import pytest

from fakes.calls import REQUEST, a_call
from penstockd.call import Call
from penstockd.errors import Overloaded
from penstockd.request import Request
from penstockd.under_way import UnderWay


async def test_each_answer_counts_until_it_is_over() -> None:
    """However it ends: well, in an error or cancelled."""
    under_way, go_on = UnderWay(), asyncio.Event()

    async def well(_: Call[Request]) -> None:
        await go_on.wait()

    async def badly(_: Call[Request]) -> None:
        await go_on.wait()
        raise Overloaded("no", retry_after=1.0)

    tasks = [asyncio.ensure_future(under_way.counting(handle)(a_call(REQUEST))) for handle in (well, badly, well)]
    await asyncio.sleep(0)
    assert under_way.count == 3

    tasks[2].cancel()
    go_on.set()
    await asyncio.wait(tasks)
    assert under_way.count == 0
    with pytest.raises(Overloaded):
        tasks[1].result()
