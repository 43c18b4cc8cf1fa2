"""Work that callers share has the time that each of them has, and each of them its own."""

import asyncio
from collections.abc import Callable, Iterator
from math import inf

import pytest
from msgspec.structs import replace

from fakes import virtual_time
from fakes.calls import REQUEST, a_call
from fakes.virtual_time import VirtualClock
from penstockd.interceptors.flights.work import OwnLimit, Work
from penstockd.resilience.overtime import Overtime


class Listener:
    """Somebody with 10 s, itself work that others may grant more, who listens to work; `woken` is after how long."""

    def __init__(self, clock: VirtualClock, wakes: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._wakes = wakes
        self.overtime, self.of_the_work = Overtime(), Overtime()
        self.woken: list[float] = []
        call = replace(a_call(REQUEST, expires_at=self._began + 10.0), overtime=self.overtime)
        self.limit = OwnLimit(call, self.of_the_work, clock, self._wake)

    @property
    def work_has(self) -> float:
        """The seconds that the work was granted, from the beginning."""
        return self.of_the_work.until - self._began

    def granted(self, seconds: float, overtime: Overtime) -> None:
        """Go on for `seconds` from the beginning."""
        overtime.grant(self._began + seconds)

    def _wake(self) -> None:
        self.woken.append(self._clock.monotonic() - self._began)
        self._wakes()


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """Time that jumps."""
    with VirtualClock() as it:
        yield it


def test_what_is_said_of_it_repeats_no_prompt(clock: VirtualClock) -> None:
    """An event loop names whom it called, should that fail."""
    call = a_call(replace(REQUEST, input="a secret"))
    limit, work = OwnLimit(call, Overtime(), clock, lambda: None), Work(key="k", call=call)
    seat = work.flight.board(lambda: None, wants_pieces=True)
    work.flight.say("another secret")

    assert "secret" not in f"{limit!r} {work!r} {work.flight!r} {seat!r}"


def test_a_listener_is_woken_at_its_own_end_if_the_work_has_more(clock: VirtualClock) -> None:
    """In time for an ending of ours; work that has no more ends by itself."""

    async def main() -> tuple[Listener, Listener]:
        first, last = Listener(clock), Listener(clock)
        first.granted(20.0, first.of_the_work)
        await clock.sleep(60.0)
        return first, last

    first, last = virtual_time.run(clock, main())

    assert first.woken == [pytest.approx(9.5)]
    assert (first.limit.is_over, last.limit.is_over, last.woken) == (True, False, [])
    assert (first.work_has, last.work_has) == (20.0, 10.0)


@pytest.mark.parametrize("is_before", [True, False])
def test_what_a_listener_is_granted_the_work_is_granted(clock: VirtualClock, *, is_before: bool) -> None:
    """However much that is, and the listener's own end moves with it, be the work granted more before that or after."""

    async def main() -> Listener:
        listener = Listener(clock)
        if is_before:
            listener.granted(40.0, listener.of_the_work)
        await clock.sleep(5.0)
        for seconds in (20.0, 30.0, 25.0):
            listener.granted(seconds, listener.overtime)
            assert listener.work_has == (40.0 if is_before else max(seconds, 30.0) if seconds > 20.0 else 20.0)
        listener.granted(40.0, listener.of_the_work)
        await clock.sleep(60.0)
        return listener

    assert virtual_time.run(clock, main()).woken == [pytest.approx(29.5)]


def test_a_listener_that_has_overtaken_the_work_is_not_woken(clock: VirtualClock) -> None:
    """Its timer was set, and it is the work that ends."""

    async def main() -> Listener:
        listener = Listener(clock)
        listener.granted(20.0, listener.of_the_work)
        await clock.sleep(5.0)
        listener.granted(30.0, listener.overtime)
        await clock.sleep(60.0)
        return listener

    listener = virtual_time.run(clock, main())

    assert (listener.work_has, listener.woken, listener.limit.is_over) == (30.0, [], False)


def test_time_that_is_granted_at_the_very_end_counts(clock: VirtualClock) -> None:
    """The listener was woken, but had no turn yet."""

    async def main() -> Listener:
        listener = Listener(clock, wakes=lambda: listener.granted(20.0, listener.overtime))
        listener.granted(40.0, listener.of_the_work)
        await clock.sleep(15.0)
        assert not listener.limit.is_over
        await clock.sleep(60.0)
        return listener

    assert virtual_time.run(clock, main()).woken == [pytest.approx(9.5), pytest.approx(19.5)]


def test_who_no_longer_listens_grants_nothing(clock: VirtualClock) -> None:
    """And is not woken."""

    async def main() -> Listener:
        listener = Listener(clock)
        listener.granted(20.0, listener.of_the_work)
        listener.limit.close()
        listener.granted(30.0, listener.overtime)
        await clock.sleep(60.0)
        return listener

    listener = virtual_time.run(clock, main())

    assert (listener.work_has, listener.woken) == (20.0, [])


def test_a_listener_without_an_end_grants_one_without_an_end(clock: VirtualClock) -> None:
    """There is nothing to be woken for."""

    async def main() -> float:
        overtime = Overtime()
        OwnLimit(a_call(REQUEST), overtime, clock, asyncio.get_running_loop().stop)
        return overtime.until

    assert virtual_time.run(clock, main()) == inf
