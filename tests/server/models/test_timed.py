"""One attempt ends in time, and whoever let the time pass is named."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from msgspec.structs import replace

from fakes import virtual_time
from fakes.asking import Heard, model_call, prompt
from fakes.virtual_time import VirtualClock
from penstockd.call import Call, Completed, Delta, Reply
from penstockd.model import Prompt, Timeouts
from penstockd.models.timed import Timed
from penstockd.outcome import FinishReason
from penstockd.resilience.overtime import Overtime
from penstockd.upstream import OutOfTime, SlowReader, TimedOut

TIMEOUTS = Timeouts(first_token=20.0, idle=15.0, total=120.0)
DONE = Completed(finish_reason=FinishReason.STOP)

Send = Callable[[Reply], Awaitable[None]]


class Thought:
    """Output that is not sent."""


THOUGHT = Thought()
Step = float | Reply | Thought


class Saying:
    """A model that waits, thinks and sends in turn, as told."""

    def __init__(self, *steps: Step) -> None:
        self._steps = steps

    async def __call__(self, call: Call[Prompt]) -> None:
        for step in self._steps:
            if isinstance(step, int | float):
                await asyncio.sleep(step)
            elif isinstance(step, Thought):
                call.request.thought()
            else:
                await call.send(step)


def attempt(
    *steps: Step,
    streams: bool = True,
    content_within: float = float("inf"),
    within: float = float("inf"),
    send: Send | None = None,
    timeouts: Timeouts = TIMEOUTS,
) -> float:
    """Run one attempt of a model that does `steps`; return how long it took."""
    clock = VirtualClock()
    now = clock.monotonic()
    within = min(within, 1e6) if content_within < float("inf") else within
    request = prompt(streams=streams, reserve=max(within - content_within, 0.0) if within < float("inf") else 0.0)
    call = model_call(request, send or Heard().take, expires_at=now + within)
    virtual_time.run(clock, Timed(Saying(*steps), timeouts=timeouts, clock=clock)(call))
    return clock.monotonic() - now


def test_a_model_in_time_is_left_alone() -> None:
    """Pauses below every limit end nothing, though together they pass first_token and idle."""
    assert attempt(19.0, Delta("a"), 14.0, Delta("b"), 14.0, DONE) == pytest.approx(47.0)


@pytest.mark.parametrize(
    ("steps", "streams", "reason", "after"),
    [
        ((1000.0,), True, "first_token_timeout", 20.0),
        ((1.0, Delta("a"), 1000.0), True, "idle_timeout", 16.0),
        ((1.0, Delta("a"), 14.0, Delta("b"), 1000.0), True, "idle_timeout", 30.0),
        ((19.0, THOUGHT, 14.0, THOUGHT, 1000.0), True, "idle_timeout", 48.0),
        ((1.0, Delta("a"), 14.0, THOUGHT, 1000.0), True, "idle_timeout", 30.0),
        ((10.0, THOUGHT) * 20, True, "total_timeout", 120.0),
        ((1000.0,), False, "total_timeout", 120.0),
        ((10.0, Delta("a")) * 20, True, "total_timeout", 120.0),
    ],
)
def test_the_models_own_limits_are_its_fault(
    steps: tuple[Step, ...], *, streams: bool, reason: str, after: float
) -> None:
    """First token and idle hold for streams, the total for everything; the failure says which."""
    clock = VirtualClock()
    call = model_call(prompt(streams=streams), Heard().take)

    with pytest.raises(TimedOut) as failure:
        virtual_time.run(clock, Timed(Saying(*steps), timeouts=TIMEOUTS, clock=clock)(call))

    assert failure.value.reason == reason
    assert clock.monotonic() == pytest.approx(1000.0 + after)


@pytest.mark.parametrize("streams", [False, True])
def test_a_callers_short_time_is_nobodys_fault(*, streams: bool) -> None:
    """A deadline, or content that is due, before the model had its time is OutOfTime."""
    with pytest.raises(OutOfTime):
        attempt(1000.0, streams=streams, content_within=3.0)
    with pytest.raises(OutOfTime):
        attempt(1000.0, streams=streams, within=3.0)
    with pytest.raises(OutOfTime):
        attempt(1.0, Delta("a"), 1000.0, streams=streams, within=3.0)


def test_content_in_time_lifts_what_was_due() -> None:
    """`reserve` ends nothing once there was content."""
    assert attempt(1.0, Delta("a"), 10.0, DONE, content_within=3.0) == pytest.approx(11.0)


def test_a_model_that_thinks_aloud_is_left_alone() -> None:
    """What it says need not be text to be a first token, and to end its silence from then on."""
    assert attempt(19.0, THOUGHT, 14.0, THOUGHT, 14.0, Delta("a"), 14.0, DONE) == pytest.approx(61.0)


def test_thoughts_are_no_content() -> None:
    """Another model may still answer, so the time that is kept for it stays its own; nobody is to blame."""
    with pytest.raises(OutOfTime):
        attempt(1.0, THOUGHT, 1000.0, content_within=3.0)
    with pytest.raises(OutOfTime):
        attempt(*(10.0, THOUGHT) * 3, within=25.0)


@pytest.mark.parametrize(("within", "content_within"), [(25.0, float("inf")), (float("inf"), 25.0)])
def test_a_unary_answer_has_no_first_token(within: float, content_within: float) -> None:
    """It is there whole or not at all: a model that writes for longer than its caller can wait is well."""
    with pytest.raises(OutOfTime):
        attempt(1000.0, streams=False, within=within, content_within=content_within)


def test_a_slow_reader_is_not_the_models_fault() -> None:
    """While a reply is handed on, no idle time passes."""

    async def slowly(_: Reply) -> None:
        await asyncio.sleep(50.0)

    assert attempt(1.0, Delta("a"), 1.0, DONE, send=slowly) == pytest.approx(102.0)
    with pytest.raises(SlowReader):
        attempt(1.0, Delta("a"), 1.0, Delta("b"), 1.0, DONE, send=slowly)
    with pytest.raises(OutOfTime):
        attempt(1.0, Delta("a"), 1.0, Delta("b"), 1.0, DONE, send=slowly, within=60.0)


@pytest.mark.parametrize("streams_for", [14.0, 1000.0])
def test_a_model_that_thinks_aloud_meanwhile_is_not_taken_for_its_reader(streams_for: float) -> None:
    """Whatever is heard of it while a reply is handed on, it is the reader who takes that long."""

    async def slowly(_: Reply) -> None:
        await asyncio.sleep(streams_for)

    async def thinks(call: Call[Prompt]) -> None:
        while True:
            await asyncio.sleep(5.0)
            call.request.thought()

    async def says(call: Call[Prompt]) -> None:
        thinking = asyncio.create_task(thinks(call))
        try:
            await Saying(Delta("a"), 1.0, DONE)(call)
        finally:
            thinking.cancel()

    clock = VirtualClock()
    timed = Timed(says, timeouts=TIMEOUTS, clock=clock)
    call = model_call(prompt(streams=True), slowly)
    if streams_for < TIMEOUTS.total:
        virtual_time.run(clock, timed(call))
        return
    with pytest.raises(SlowReader, match="total_timeout"):
        virtual_time.run(clock, timed(call))


def test_a_unary_answer_has_no_slow_reader() -> None:
    """What its end waits for is our own ledger."""

    async def slowly(_: Reply) -> None:
        await asyncio.sleep(50.0)

    with pytest.raises(TimedOut) as failure:
        attempt(100.0, DONE, streams=False, send=slowly)
    assert failure.value.reason == "total_timeout"


OVERTIME = [
    pytest.param((Delta("a"), 8.0, DONE), 5.0, 10.0, None, 8.0, id="granted, and enough"),
    pytest.param((8.0, Delta("a"), DONE), 5.0, 10.0, None, 8.0, id="before the first content too"),
    pytest.param((8.0, DONE), 5.0, 10.0, None, 8.0, id="and where there is none until the end"),
    pytest.param((Delta("a"), 20.0, DONE), 5.0, 10.0, OutOfTime, 10.0, id="granted, and not enough"),
    pytest.param((9.5, DONE), 5.0, 10.0, OutOfTime, 9.0, id="what was planned for others stays theirs"),
    pytest.param((Delta("a"), 8.0, DONE), 5.0, 3.0, OutOfTime, 5.0, id="less than there was"),
    pytest.param((Delta("a"), 20.0, DONE), 17.0, 60.0, TimedOut, 15.0, id="the model's own limits stay"),
    pytest.param((Delta("a"), 20.0, DONE), 12.0, 60.0, TimedOut, 15.0, id="also those that came after the caller's"),
    pytest.param((THOUGHT, 20.0, DONE), 12.0, 60.0, TimedOut, 15.0, id="and those of a model that thinks"),
]


@pytest.mark.parametrize(("steps", "within", "granted", "error", "after"), OVERTIME)
def test_overtime_moves_the_callers_limit(
    steps: tuple[Step, ...], within: float, granted: float, error: type[Exception] | None, after: float
) -> None:
    """It is granted after 2 s, while the model is at work; content may take all but the last second."""
    clock, overtime = VirtualClock(), Overtime()
    now = clock.monotonic()
    request = prompt(streams=True, reserve=1.0)
    call = replace(model_call(request, Heard().take, expires_at=now + within), overtime=overtime)

    async def main() -> None:
        asyncio.get_running_loop().call_later(2.0, overtime.grant, now + granted)
        await Timed(Saying(*steps), timeouts=TIMEOUTS, clock=clock)(call)

    if error is None:
        virtual_time.run(clock, main())
    else:
        with pytest.raises(error):
            virtual_time.run(clock, main())
    assert clock.monotonic() - now == pytest.approx(after)


@pytest.mark.parametrize("steps", [(Delta("a"), DONE), (30.0,)], ids=["answered", "out of time"])
def test_who_is_done_is_told_of_no_more_overtime(steps: tuple[Step, ...]) -> None:
    """Work that others share may make many attempts, and holds on to none that is over."""
    clock, overtime = VirtualClock(), Overtime()
    call = replace(model_call(prompt(streams=True), Heard().take), overtime=overtime)

    with suppress(TimedOut):
        virtual_time.run(clock, Timed(Saying(*steps), timeouts=TIMEOUTS, clock=clock)(call))

    assert not overtime.watchers


def test_a_time_that_is_already_up_ends_at_the_first_wait() -> None:
    """A limit in the past lets nothing be waited for."""
    with pytest.raises(OutOfTime):
        attempt(1.0, within=-1.0)


@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_that_is_whole_stands(*, streams: bool) -> None:
    """Time that is up while the model takes leave is no failure."""
    heard = Heard()

    assert attempt(1.0, Delta("a"), 1.0, DONE, 1000.0, streams=streams, within=10.0, send=heard.take) == 10.0
    assert heard.completed is DONE


def test_time_that_is_up_before_the_end_is_handed_on_is_a_failure() -> None:
    """The caller does not have the answer then."""

    async def never(_: Reply) -> None:
        await asyncio.Event().wait()

    with pytest.raises(SlowReader):
        attempt(DONE, send=never)


@pytest.mark.parametrize("step", [Delta("a"), THOUGHT], ids=["text", "a thought"])
def test_what_an_attempt_left_behind_ends_nothing(step: Step) -> None:
    """What it says after its attempt moves no limit of anybody's."""
    clock = VirtualClock()
    left: list[asyncio.Task[None]] = []

    async def leaves(call: Call[Prompt]) -> None:
        left.append(asyncio.create_task(Saying(2.0, step)(call)))
        await asyncio.sleep(1.0)

    async def main() -> None:
        timed = Timed(leaves, timeouts=TIMEOUTS, clock=clock)
        await timed(model_call(prompt(streams=True), Heard().take))
        await asyncio.sleep(1000.0)
        await left[0]

    virtual_time.run(clock, main())


def test_without_limits_nothing_ends_an_attempt() -> None:
    """Infinite times are allowed."""
    never = Timeouts(first_token=float("inf"), idle=float("inf"), total=float("inf"))

    assert attempt(1e6, Delta("a"), 1e6, DONE, timeouts=never) == pytest.approx(2e6)


def test_a_timeout_of_whoever_is_sent_to_passes_unchanged() -> None:
    """A TimeoutError out of `send` is not ours to explain."""

    async def refuses(_: Reply) -> None:
        raise TimeoutError("the reader's own")

    with pytest.raises(TimeoutError, match="the reader's own"):
        attempt(1.0, Delta("a"), send=refuses)


def test_a_cancellation_stays_one() -> None:
    """Whoever cancels the attempt from outside gets CancelledError, also when a limit falls due with it."""

    async def cancelled(clock: VirtualClock, after: float) -> None:
        timed = Timed(Saying(1000.0), timeouts=TIMEOUTS, clock=clock)
        task = asyncio.ensure_future(timed(model_call(prompt(streams=True), Heard().take)))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for after in (1.0, 20.0):
        clock = VirtualClock()
        virtual_time.run(clock, cancelled(clock, after))
