"""Identical calls share one piece of work, which belongs to none of them."""

import asyncio
import gc
import random
from collections.abc import Sequence

import pytest

from fakes import virtual_time
from fakes.calls import STREAM
from fakes.clock import FakeClock, RunningClock
from fakes.collector import alive, uncollected
from fakes.edge import edge
from fakes.loop import settled
from fakes.rpc import PROCESS
from fakes.rpc import STREAM as PROCESS_STREAM
from fakes.shared_work import DONE, PATIENCE, Caller, Work
from fakes.telescope import Telescope
from fakes.virtual_time import VirtualClock
from penstock.v1.agent_service_pb2 import ProcessRequest
from penstockd.answers import Answer
from penstockd.call import Call
from penstockd.errors import (
    AgentNotFound,
    BudgetExhausted,
    ContentFiltered,
    ContextTooLong,
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    ModelsUnavailable,
    Overloaded,
    PenstockError,
    PriceUnknown,
    Quota,
    RateLimited,
    StreamBroken,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamTimeout,
)
from penstockd.interceptors.flights.flights import LEFT_AT_MOST, Flights
from penstockd.logs.log import Log
from penstockd.outcome import Attempt, CacheStatus, FinishReason
from penstockd.request import Request
from penstockd.upstream import Broken


def rides(flights: Flights, work: Work, key: str = "k", **caller: object) -> Caller:
    """A caller who is on its way."""
    it = Caller(**caller)  # type: ignore[arg-type]  # as Caller takes it
    return it.starts(flights.ride(key, it.call, work))


def unforeseen(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of what nobody foresaw."""
    assert {record.message for record in caplog.records} <= {"a call failed unforeseen"}
    return [str(record.exc_info[1]) for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("path", [PROCESS, PROCESS_STREAM])
async def test_a_call_whose_work_has_failed_is_freed_without_a_collection(path: str) -> None:
    """Nothing that it came to holds on to it."""
    flights, mine = Flights(FakeClock(), log=Log("test")), f"this one, by {path}"

    async def broken() -> None:
        raise Broken("it broke", reason="truncated")

    async def work(call: Call[Request]) -> None:
        error = ModelsUnavailable("no model answered")
        try:
            await broken()
        except Broken as failure:
            raise error from failure

    with uncollected():
        async with edge(lambda call: flights.ride("k", call, work)) as at:
            ended = await at.wire.ask(path, ProcessRequest(input=mine))
            await at.adapter.idle()
            await asyncio.sleep(0.05)

            assert ended.message == "no model answered"
            assert alive(Call, lambda call: getattr(call.request, "input", "") == mine) == []


async def test_callers_of_one_key_get_one_piece_of_work() -> None:
    """Unary or stream, early or late, each hears the whole answer; another key is other work."""
    flights, work, other = Flights(FakeClock(), log=Log("test")), Work(), Work()
    early = [rides(flights, work), rides(flights, work, method=STREAM)]
    work.say("a", "b")
    await settled()
    late = [rides(flights, work), rides(flights, work, method=STREAM)]
    stranger = rides(flights, other, key="other")
    other.end()
    work.say("c")
    work.end()

    for caller in (*early, *late):
        await caller.ends()
        assert (caller.text, caller.completed, caller.error) == ("abc", DONE, None)
    assert (await stranger.ends()).text == ""
    assert (len(work.calls), len(other.calls)) == (1, 1)
    assert late[0].texts == ["ab", "c"]
    assert flights.joins == 3
    assert repr(flights) == "<Flights 0 in the air, 0 ending>"


async def test_who_started_carries_the_charge_and_the_others_nothing() -> None:
    """Joined callers see which agent and model answered, usage 0 and cost 0."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    first, second = rides(flights, work), rides(flights, work)
    await settled()
    attempt = Attempt(model="m", started_at=0.0, cost_nanousd=7, usage=DONE.usage, is_complete=True)
    work.calls[0].outcome.attempts.append(attempt)
    work.say("a")
    work.end()
    await first.ends()
    await second.ends()

    assert first.outcome.cost_nanousd == 7
    assert (second.outcome.cost_nanousd, second.outcome.usage.total, second.outcome.attempts) == (0, 0, [])
    assert (second.outcome.agent, second.outcome.model) == ("default", "m")
    assert (first.outcome.cache, second.outcome.cache) == (CacheStatus.BYPASSED, CacheStatus.COALESCED)


async def test_who_joined_an_answer_without_text_sees_who_gave_it() -> None:
    """The model is known by its end at the latest."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    callers = [rides(flights, work), rides(flights, work)]
    work.end()

    assert [(await caller.ends()).outcome.model for caller in callers] == ["m", "m"]


async def test_one_callers_cancel_never_hurts_the_others() -> None:
    """Not the leader's, nor anybody else's."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    leader, second, third = (rides(flights, work) for _ in range(3))
    work.say("a")
    await settled()

    await leader.cancels()
    await second.cancels()
    fourth = rides(flights, work)
    work.say("b")
    work.end()

    assert [(await each.ends()).text for each in (third, fourth)] == ["ab", "ab"]
    assert (len(work.calls), work.cancels) == (1, 0)


async def test_the_last_ones_cancel_ends_the_work() -> None:
    """The next caller does not get what was cut."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    callers = [rides(flights, work) for _ in range(3)]
    await settled()

    for caller in callers:
        assert work.cancels == 0
        await caller.cancels()
    again = rides(flights, work)
    await settled()
    work.end()

    assert work.cancels == 1
    assert (await again.ends()).completed == DONE
    assert again.outcome.cache is CacheStatus.BYPASSED


@pytest.mark.parametrize("seed", range(20))
async def test_whoever_cancels_when_the_rest_hear_all(seed: int) -> None:
    """Callers come and go at random, and while anybody is there, there is one piece of work."""
    draw = random.Random(seed)
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    staying = [rides(flights, work)]
    await settled()
    expected = ""
    for number in range(50):
        match draw.randrange(3):
            case 0:
                staying.append(rides(flights, work))
                await asyncio.sleep(0)
            case 1 if len(staying) > 1:
                await staying.pop(draw.randrange(len(staying))).cancels()
            case _:
                work.say(str(number))
                expected += str(number)
        for _ in range(draw.randrange(3)):
            await asyncio.sleep(0)
    work.end()

    assert {(await each.ends()).text for each in staying} == {expected}
    assert (len(work.calls), work.cancels) == (1, 0)


async def test_a_slow_reader_holds_up_nobody() -> None:
    """It reads on from its own place, in fewer pieces."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    slow, quick = rides(flights, work), rides(flights, work)
    slow.flow.clear()
    work.say("a", "b", "c")
    work.end()

    assert (await quick.ends()).text == "abc"
    assert slow.texts == []
    slow.flow.set()
    assert (await slow.ends()).text == "abc"


async def test_the_work_may_go_on_to_the_latest_callers_limit() -> None:
    """Also when that caller is gone, and whoever comes with less leaves it as it is."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    first = rides(flights, work, expires_at=10.0)
    await settled()
    call: Call[Request] = work.calls[0]
    assert (call.expires_at, call.ends_at) == (10.0, 10.0)

    later = rides(flights, work, expires_at=30.0)
    rides(flights, work, expires_at=20.0)
    await settled()

    assert (call.expires_at, call.ends_at) == (10.0, 30.0)
    work.end()
    await first.ends()
    await later.ends()


@pytest.mark.parametrize(
    "error", [ContentFiltered, ContextTooLong, UpstreamMisconfigured, UpstreamRejected, AgentNotFound]
)
async def test_an_error_that_would_repeat_is_everybodys(error: type[PenstockError]) -> None:
    """Each has its own copy of it, whole."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    callers = [rides(flights, work) for _ in range(5)]
    await settled()
    failure = error("no", retry_after=2.0, metadata={"a": "b"})
    work.fail(failure)

    seen = [(await caller.ends()).error for caller in callers]

    assert len(work.calls) == 1
    assert len({id(each) for each in seen}) == 5
    for each in seen:
        assert isinstance(each, error)
        assert (each.message, each.retry_after, each.metadata) == ("no", 2.0, {"a": "b"})


class Shut(Overloaded):
    """An agent's own, whose constructor takes no message."""

    def __init__(self) -> None:
        super().__init__("shut", retry_after=1.0)


async def test_an_error_of_an_agents_own_is_told_as_it_is() -> None:
    """Whoever started hears it, and who joined as well."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    callers = [rides(flights, work) for _ in range(2)]
    await settled()
    work.fail(Shut())
    work.fail(Shut())

    assert [type((await caller.ends()).error) for caller in callers] == [Shut, Shut]


@pytest.mark.parametrize(
    "error",
    [
        BudgetExhausted,
        DeadlineExceeded,
        Internal,
        InvalidRequest,
        ModelsUnavailable,
        Overloaded,
        PriceUnknown,
        RateLimited,
        UpstreamTimeout,
    ],
)
async def test_after_an_error_that_may_pass_those_who_joined_share_one_new_flight(error: type[PenstockError]) -> None:
    """The one who started has its error: it may have been about that caller alone."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    first, *joined = [rides(flights, work) for _ in range(50)]
    await settled()
    work.fail(error("not now"))
    work.say("a")
    work.end()

    assert isinstance((await first.ends()).error, error)
    assert {(await caller.ends()).text for caller in joined} == {"a"}
    assert len(work.calls) == 2
    statuses = [caller.outcome.cache for caller in joined]
    assert (statuses.count(CacheStatus.BYPASSED), statuses.count(CacheStatus.COALESCED)) == (1, 48)


@pytest.mark.parametrize(("left", "flights_in_all"), [(0.5, 1), (1.0, 1), (1.5, 2), (60.0, 2)])
async def test_nobody_flies_again_in_what_is_left_for_our_own_ending(left: float, flights_in_all: int) -> None:
    """The work had all the time that its callers have, and who joined it when that was over already has more."""
    clock = FakeClock()
    flights, work = Flights(clock, log=Log("test")), Work()
    first = rides(flights, work, expires_at=clock.monotonic() + 10.0)
    await settled()
    joined = rides(flights, work, expires_at=clock.monotonic() + 10.0 + left)
    await settled()
    clock.advance(10.0)
    work.fail(DeadlineExceeded("too late"))
    work.say("a")
    work.end()

    assert isinstance((await first.ends()).error, DeadlineExceeded)
    assert isinstance((await joined.ends()).error, DeadlineExceeded) is (flights_in_all == 1)
    assert len(work.calls) == flights_in_all


async def test_there_is_one_new_flight_at_most() -> None:
    """When that fails too, it has failed, also for who comes to it late."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    first, *joined = [rides(flights, work) for _ in range(50)]
    await settled()
    for _ in range(3):
        work.fail(ModelsUnavailable("not now"))

    for caller in (first, *joined):
        assert isinstance((await caller.ends()).error, ModelsUnavailable)
    assert len(work.calls) == 2


def over(per: str, user: str = "u1") -> BudgetExhausted:
    """What somebody's budget refuses."""
    return BudgetExhausted("used up", retry_after=-1, quota=Quota(f"{per}:acme/{user}", "1 USD per day"))


@pytest.mark.parametrize("per", ["user", "key"])
async def test_nobody_is_refused_for_another_users_limit(per: str) -> None:
    """Whoever leads the work is told of its own; those who are over no limit fly on, as often as it takes."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    *refused, last = [rides(flights, work) for _ in range(4)]
    await settled()
    for number in range(3):
        work.fail(over(per, f"u{number}"))
        await settled()
    work.say("a")
    work.end()

    errors = [(await caller.ends()).error for caller in refused]
    assert [error.quota.subject for error in errors if isinstance(error, BudgetExhausted) and error.quota] == [
        f"{per}:acme/u{number}" for number in range(3)
    ]
    assert (await last.ends()).text == "a"


async def test_nobody_is_refused_for_another_users_limit_on_the_second_flight_either() -> None:
    """Which has begun because the first one failed in a way that may pass."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    first, second, last = [rides(flights, work) for _ in range(3)]
    await settled()
    work.fail(ModelsUnavailable("not now"))
    await settled()
    work.fail(over("user"))
    await settled()
    work.say("a")
    work.end()

    assert isinstance((await first.ends()).error, ModelsUnavailable)
    assert isinstance((await second.ends()).error, BudgetExhausted)
    assert (await last.ends()).text == "a"


@pytest.mark.parametrize("per", ["tenant", "agent", "user", "key"])
async def test_a_limit_of_all_of_them_is_met_twice_and_no_more(per: str) -> None:
    """Five hundred callers of a tenant, or of a user, who has used up its budget do not ask one after the other."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    callers = [rides(flights, work) for _ in range(50)]
    await settled()
    for _ in range(3):
        work.fail(over(per, user=""))

    for caller in callers:
        assert isinstance((await caller.ends()).error, BudgetExhausted)
    assert len(work.calls) == 2


async def test_a_refusal_after_the_first_text_names_nobody_elses_limit() -> None:
    """Those who joined have heard text, which cannot be taken back, and are told that it broke off."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    first, joined = rides(flights, work), rides(flights, work)
    work.say("a")
    work.fail(over("user"))

    assert isinstance((await first.ends()).error, BudgetExhausted)
    assert isinstance((await joined.ends()).error, StreamBroken)
    assert "u1" not in str(joined.error)


async def test_each_caller_ends_in_its_own_time() -> None:
    """With a status of ours, a little before gRPC would end it with none; whoever has more time hears the rest."""
    flights, work, clock = Flights(FakeClock(), log=Log("test")), Work(), FakeClock()
    now = clock.monotonic()
    first, short, long = (rides(flights, work, expires_at=now + seconds) for seconds in (0.2, 0.1, 60.0))
    work.say("a")

    for caller in (first, short):
        assert isinstance((await caller.ends()).error, DeadlineExceeded)
    work.end()
    assert (await long.ends()).text == "a"
    assert work.cancels == 0


@pytest.mark.parametrize(("unheard", "error"), [((), type(None)), (("b",), DeadlineExceeded)], ids=["all", "a part"])
def test_whose_time_is_over_hears_the_end_if_it_has_all_of_the_text(
    unheard: Sequence[str], error: type[BaseException | None]
) -> None:
    """A slow reader's time passes while the answer ends: the end alone takes it no time, more text would."""
    clock = VirtualClock()

    async def main() -> tuple[Caller, Caller]:
        flights, work, now = Flights(clock, log=Log("test")), Work(), clock.monotonic()
        slow = rides(flights, work, expires_at=now + 10.0, method=STREAM)
        other = rides(flights, work, expires_at=now + 60.0)
        slow.flow.clear()
        work.say("a")
        await settled()
        work.say(*unheard)
        work.end()
        await asyncio.sleep(10.0)
        slow.flow.set()
        return await slow.ends(), await other.ends()

    slow, other = virtual_time.run(clock, main())

    assert (slow.text, type(slow.error), slow.completed is None) == ("a", error, bool(unheard))
    assert other.text == "".join(["a", *unheard])


async def test_the_last_to_leave_sees_what_the_work_used() -> None:
    """The line in the log is written when this caller's call ends: by then the attempt is settled."""
    flights, spent = Flights(FakeClock(), log=Log("test")), []

    async def work(call: Call[Request]) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await settled()
            spent.append(call.outcome.request_id)

    caller = Caller()
    caller.starts(flights.ride("k", caller.call, work))
    await settled()

    await caller.cancels()

    assert len(spent) == 1


async def test_a_text_that_does_not_end_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept whole for whoever joins, so there must be an end to it."""
    monkeypatch.setattr("penstockd.interceptors.flights.flights.LONGEST", 10)
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    caller = rides(flights, work)
    work.say("a" * 10, "b")

    assert isinstance((await caller.ends()).error, StreamBroken)
    assert caller.text.startswith("a" * 10)


async def test_after_the_first_text_there_is_no_new_flight() -> None:
    """What was heard cannot be taken back."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    callers = [rides(flights, work) for _ in range(3)]
    await settled()
    work.say("a")
    work.fail(StreamBroken("broke"))

    for caller in callers:
        assert isinstance((await caller.ends()).error, StreamBroken)
        assert caller.text == "a"
    assert len(work.calls) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), InvalidRequest("secret", metadata={"order": 7})])  # type: ignore[dict-item]
async def test_what_was_unforeseen_is_in_the_log_once(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """With whose call it was; those who wait for it, be they many or nobody, are told nothing of it."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    callers = [rides(flights, work) for _ in range(100)]
    await settled()
    work.fail(error)

    errors = [(await caller.ends()).error for caller in callers]

    assert {type(error) for error in errors} == {Internal}
    assert "secret" not in str(errors)
    assert len({id(error) for error in errors}) == 100  # else each would grow the others' traceback
    assert len(work.calls) == 1
    assert unforeseen(caplog) == ["secret"]
    assert caplog.records[0].__dict__["fields"]["tenant"] == "acme"


async def test_work_that_cancels_itself_fails_its_callers(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody of them was cancelled, and none hangs."""
    flights, work = Flights(FakeClock(), log=Log("test")), Work()
    callers = [rides(flights, work) for _ in range(2)]
    await settled()
    work.fail(asyncio.CancelledError("from within"))

    assert [type((await caller.ends()).error) for caller in callers] == [Internal, Internal]
    assert unforeseen(caplog) == ["from within"]


async def test_work_that_ends_before_its_answer_does_fails_its_callers(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for what will not come."""
    flights, caller = Flights(FakeClock(), log=Log("test")), Caller()

    async def gives_up(call: Call[Request]) -> None:
        """Send nothing."""

    caller.starts(flights.ride("k", caller.call, gives_up))

    assert isinstance((await caller.ends()).error, Internal)
    assert unforeseen(caplog) == ["the work ended before its answer did"]


async def test_what_fails_after_the_answer_takes_nothing_back() -> None:
    """Such as a store that does not take it."""
    flights, work, caller = Flights(FakeClock(), log=Log("test")), Work(), Caller()

    async def fails(answer: Answer) -> None:
        raise OSError("no room")

    caller.starts(flights.ride("k", caller.call, work, fails))
    work.end()

    assert (await caller.ends()).completed == DONE
    await flights.close(1.0)


async def test_the_answer_is_kept_if_anybody_aboard_wants_it() -> None:
    """Once, whole, and after everybody has it."""
    flights, work, kept = Flights(FakeClock(), log=Log("test")), Work(), list[Answer]()

    async def keep(answer: Answer) -> None:
        kept.append(answer)

    callers = [Caller(), Caller()]
    rides(flights, work)
    for caller in callers:
        caller.starts(flights.ride("k", caller.call, work, keep))
    work.say("a", "b")
    work.end()
    await callers[0].ends()
    await flights.close(1.0)

    assert kept == [Answer(text="ab", finish_reason=FinishReason.STOP, model="m")]


async def test_deserted_work_lingers_for_those_who_come_back() -> None:
    """And it ends when nobody did."""
    flights, work = Flights(FakeClock(), log=Log("test"), linger=0.05), Work()
    await rides_and_cancels(flights, work)
    back = rides(flights, work)
    work.say("a")
    work.end()
    assert (await back.ends()).text == "a"
    assert (len(work.calls), work.cancels) == (1, 0)

    await rides_and_cancels(flights, work)
    async with asyncio.timeout(5.0):
        await work.cancelled.wait()
    await settled()
    assert repr(flights) == "<Flights 0 in the air, 0 ending>"


async def test_lingering_piles_up_no_timers() -> None:
    """One piece of work has one timer at most, and none once it has ended."""
    loop = asyncio.get_running_loop()
    flights, work = Flights(FakeClock(), log=Log("test"), linger=1000.0), Work()
    for _ in range(200):
        await rides_and_cancels(flights, work)
    last = rides(flights, work)
    work.end()
    await last.ends()
    await settled()
    gc.collect()

    timers: list[asyncio.TimerHandle] = [each for each in loop._scheduled if not each.cancelled()]  # type: ignore[attr-defined]  # noqa: SLF001 - what is pending
    assert [each for each in timers if each.when() > loop.time() + 500] == []
    assert len(work.calls) == 1


async def test_no_tenant_leaves_more_than_so_many_works_behind() -> None:
    """They are in no limit's count: one more ends when it is left; one that somebody came back to is not among them."""
    flights, work = Flights(FakeClock(), log=Log("test"), linger=1000.0), Work()
    for number in range(LEFT_AT_MOST):
        await rides_and_cancels(flights, work, key=str(number))
    back = rides(flights, work, key="0")
    await settled()
    await rides_and_cancels(flights, work, key="one more")
    before = work.cancels
    for number in range(3):
        await rides_and_cancels(flights, work, key=f"too many {number}")
    await settled()

    assert (before, work.cancels) == (0, 3)
    assert repr(flights).startswith(f"<Flights {LEFT_AT_MOST + 1} in the air")
    await flights.close(5.0)
    assert isinstance((await back.ends()).error, Internal)


async def rides_and_cancels(flights: Flights, work: Work, key: str = "k") -> None:
    """Let a caller come and go."""
    caller = rides(flights, work, key=key)
    await settled()
    await caller.cancels()


async def test_closing_ends_all_work() -> None:
    """What lingers too."""
    flights, work = Flights(FakeClock(), log=Log("test"), linger=1000.0), Work()
    await rides_and_cancels(flights, work)
    caller = rides(flights, work, key="other")
    await settled()

    await flights.close(5.0)

    assert work.cancels == 2
    assert isinstance((await caller.ends()).error, Internal)
    assert repr(flights) == "<Flights 0 in the air, 0 ending>"


async def test_a_joined_callers_span_links_to_that_of_the_work() -> None:
    """Whoever looks at a fast call's trace finds the one that did the work."""
    telescope, flights, work = Telescope(), Flights(FakeClock(), log=Log("test")), Work()
    tracing = telescope.tracing()

    async def traced(name: str, caller: Caller) -> None:
        trace = tracing.begin(name, None, {})
        assert trace is not None
        with trace:
            await flights.ride("k", caller.call, work)

    first, second = Caller(), Caller()
    first.starts(traced("first", first))
    await settled()
    second.starts(traced("second", second))
    await settled()
    work.end()
    await first.ends()
    await second.ends()

    assert [link.context for link in telescope.span("second").links] == [telescope.span("first").context]
    assert list(telescope.span("first").links) == []


@pytest.mark.parametrize("linger", [0.0, 10.0])
async def test_what_is_unforeseen_when_nobody_listens_is_in_the_log(
    linger: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever listens raises it, for the log, too; here nobody is left to do that."""
    flights, asked, broken = Flights(RunningClock(), log=Log("test"), linger=linger), asyncio.Event(), asyncio.Event()

    async def work(_: Call[Request]) -> None:
        asked.set()
        try:
            await broken.wait()
        finally:
            raise RuntimeError("a bug in the agent")

    caller = Caller()
    caller.starts(flights.ride("k", caller.call, work))
    await asked.wait()
    await caller.cancels()
    broken.set()
    await flights.close(PATIENCE)

    assert unforeseen(caplog) == ["a bug in the agent"]


async def test_what_is_unforeseen_after_the_answer_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The callers have their answer and are gone."""
    flights = Flights(FakeClock(), log=Log("test"))

    async def work(call: Call[Request]) -> None:
        await call.send(DONE)
        raise RuntimeError("a bug in what comes after the answer")

    caller = Caller()
    await caller.starts(flights.ride("k", caller.call, work)).ends()
    await flights.close(PATIENCE)

    assert unforeseen(caplog) == ["a bug in what comes after the answer"]


async def test_what_is_foreseen_needs_no_log_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """The attempt that failed was told of already."""
    flights, work = Flights(FakeClock(), log=Log("test"), linger=10.0), Work()
    caller = rides(flights, work)
    await settled()
    await caller.cancels()
    work.fail(ModelsUnavailable("not now"))
    await flights.close(PATIENCE)

    assert caplog.records == []


def test_work_that_lingers_ends_with_the_latest_of_its_callers_deadlines() -> None:
    """Nobody who could come back for it would have more time, and whoever started it may well have less."""
    clock = VirtualClock()

    async def main() -> float:
        flights, work, began = Flights(clock, log=Log("test"), linger=1000.0), Work(), clock.monotonic()
        callers = [rides(flights, work, expires_at=began + seconds) for seconds in (10.0, 30.0)]
        await settled()
        for caller in callers:
            await caller.cancels()
        await work.cancelled.wait()
        return clock.monotonic() - began

    assert virtual_time.run(clock, main()) == pytest.approx(30.0)
