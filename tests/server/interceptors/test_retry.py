"""One call makes the attempts that can help it, and no others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fakes import virtual_time
from fakes.collector import alive, uncollected
from fakes.model_calls import Asked, ModelCalls
from fakes.scripted_model import HANGS, Answer, Thought
from fakes.virtual_time import VirtualClock
from penstockd.call import Call, Handler, Reply, Send
from penstockd.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelsUnavailable,
    StreamBroken,
    UpstreamRejected,
    UpstreamTimeout,
)
from penstockd.interceptors.circuit_breaker import CircuitBreaker as Admission
from penstockd.model import Prompt, Timeouts
from penstockd.resilience.allowance import Allowance
from penstockd.resilience.breaker import CircuitBreaker
from penstockd.resilience.circuit import BreakerPolicy
from penstockd.resilience.overtime import Overtime
from penstockd.resilience.retry_budget import RetryBudget
from penstockd.resilience.token_bucket import TokenBucket
from penstockd.upstream import (
    Blocked,
    Broken,
    CoolingDown,
    Filtered,
    Misconfigured,
    OutOfTime,
    QuotaSpent,
    Rejected,
    TooLong,
    UpstreamFailure,
)

DEAD = Broken("no route to host", reason="connect")
OPENS_AT_ONCE = BreakerPolicy(consecutive_failures=1, open_for=5.0, jitter=0.0)
AT_ONCE = 0.002
"""Seconds that are no wait."""


def test_a_model_that_answers_is_asked_once() -> None:
    """The first of the route answers, and the second never hears of it."""
    calls = ModelCalls()
    a, b = calls.model("a", ("Hel", "lo")), calls.model("b")

    asked = calls.answer(a, b)

    assert asked.heard.text == "Hello"
    assert asked.heard.completed is not None
    assert asked.attempts == [("a", "")]
    assert asked.outcome.model == "a"
    assert b.calls == []


def test_every_model_is_tried_once_without_waiting() -> None:
    """Failover takes no time, and each failure is on record."""
    calls = ModelCalls()
    a, b, c = calls.model("a", DEAD), calls.model("b", Misconfigured("401")), calls.model("c", "text")

    asked = calls.answer(a, b, c)

    assert asked.heard.text == "text"
    assert asked.seconds == 0.0
    assert asked.attempts == [("a", "connect"), ("b", "misconfigured"), ("c", "")]
    assert asked.outcome.model == "c"


def test_the_second_round_waits() -> None:
    """Once every model failed, those that may be asked again are, after full-jitter backoff that doubles."""
    calls = ModelCalls(base_delay=0.2, draw=0.5)
    a, b = calls.model("a", DEAD, DEAD), calls.model("b", DEAD, "text")

    asked = calls.answer(a, b)

    assert asked.heard.text == "text"
    assert asked.attempts == [("a", "connect"), ("b", "connect"), ("a", "connect"), ("b", "")]
    assert asked.seconds == pytest.approx(0.1 + 0.2)


def test_a_failure_that_asking_again_cannot_mend_is_not_repeated() -> None:
    """A model that rejects our key is out for this call; the other one is repeated alone."""
    calls = ModelCalls()
    a, b = calls.model("a", Misconfigured("401")), calls.model("b", DEAD, DEAD, "text")

    asked = calls.answer(a, b)

    assert [name for name, _ in asked.attempts] == ["a", "b", "b", "b"]
    assert asked.heard.text == "text"


def test_a_failure_that_every_model_would_repeat_ends_the_call() -> None:
    """A request that the provider rejects is not shown to the next one."""
    calls = ModelCalls()
    a, b = calls.model("a", Rejected("bad image")), calls.model("b")

    asked = calls.answer(a, b)

    assert isinstance(asked.refusal, UpstreamRejected)
    assert "bad image" in asked.refusal.message
    assert isinstance(asked.refusal.__cause__, Rejected)
    assert b.calls == []


def test_max_attempts_counts_both_rounds() -> None:
    """Three attempts are three, however many models there are."""
    calls = ModelCalls(max_attempts=3)
    a, b = calls.model("a", *[DEAD] * 9), calls.model("b", *[DEAD] * 9)

    asked = calls.answer(a, b)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert [name for name, _ in asked.attempts] == ["a", "b", "a"]


@pytest.mark.parametrize(("header", "attempts"), [("1", 1), ("0", 3), ("2", 1)])
def test_a_call_that_its_client_repeats_gets_one_attempt(header: str, attempts: int) -> None:
    """Two retry loops would multiply: grpc-previous-rpc-attempts above 0 turns ours off."""
    calls = ModelCalls(max_attempts=3)
    a = calls.model("a", DEAD, DEAD, DEAD)

    asked = calls.answer(a, metadata=(("grpc-previous-rpc-attempts", header),))

    assert len(a.calls) == attempts
    assert isinstance(asked.refusal, ModelsUnavailable)


def test_a_stream_is_not_retried_once_text_was_sent() -> None:
    """The commit point: what broke after its first text ends as broken, and says that there is a part."""
    calls = ModelCalls()
    a, b = calls.model("a", ("Once upon", DEAD)), calls.model("b")

    asked = calls.answer(a, b)

    assert isinstance(asked.refusal, StreamBroken)
    assert asked.refusal.metadata == {"partial": "true"}
    assert asked.heard.text == "Once upon"
    assert asked.heard.completed is None
    assert asked.attempts == [("a", "connect")]
    assert b.calls == []


def test_a_stream_that_broke_before_its_first_text_is_retried() -> None:
    """Time spent commits to nothing."""
    calls = ModelCalls()
    a, b = calls.model("a", (3.0, DEAD)), calls.model("b", "text")

    assert calls.answer(a, b).heard.text == "text"


def test_an_empty_answer_is_an_answer() -> None:
    """A model that completes without a word is not asked again."""
    calls = ModelCalls()
    a, b = calls.model("a", ()), calls.model("b")

    asked = calls.answer(a, b)

    assert asked.heard.completed is not None
    assert asked.attempts == [("a", "")]
    assert b.calls == []


def test_a_repeat_waits_as_long_as_the_provider_asks() -> None:
    """A Retry-After longer than the backoff wins."""
    calls = ModelCalls()
    a = calls.model("a", CoolingDown("429", retry_after=3.0), "text")

    asked = calls.answer(a)

    assert asked.heard.text == "text"
    assert asked.seconds == pytest.approx(3.0, abs=AT_ONCE)


def test_the_one_that_asks_for_less_patience_is_repeated_first() -> None:
    """Of two to repeat, the second is back sooner."""
    calls = ModelCalls()
    a, b = calls.model("a", CoolingDown("429", retry_after=9.0)), calls.model("b", DEAD, "text")

    asked = calls.answer(a, b)

    assert [name for name, _ in asked.attempts] == ["a", "b", "b"]
    assert asked.seconds == pytest.approx(0.1)


def test_a_hint_longer_than_the_time_left_ends_the_call_at_once() -> None:
    """Nobody waits for what cannot come in time; the caller is told when it can."""
    calls = ModelCalls()
    a = calls.model("a", CoolingDown("429", retry_after=60.0))

    asked = calls.answer(a, within=30.0)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(60.0)
    assert asked.seconds == 0.0


@pytest.mark.parametrize(
    ("within", "is_usable", "kept"), [(3.0, True, 1.0), (3.0, False, 0.0), (0.08, True, 0.0)], ids=str
)
def test_time_is_kept_for_the_next_model_if_both_could_answer(within: float, is_usable: bool, kept: float) -> None:  # noqa: FBT001
    """A third of it, as nobody knows yet how fast that one is; nothing for one whose circuit is open."""
    calls = ModelCalls()
    a, b = calls.model("a", "hi"), calls.model("b", "hi")
    if not is_usable:
        b.model.breaker.trip("down", 60.0)

    calls.answer(a, b, within=within)

    (asked,) = a.calls
    assert asked.request.reserve - asked.request.margin == pytest.approx(kept)


def test_nobody_is_told_to_come_back_at_once() -> None:
    """Models that failed, though their circuits let calls pass, are given the time of a first backoff."""
    calls = ModelCalls(max_attempts=2, base_delay=0.2, draw=0.5)

    asked = calls.answer(calls.model("a", DEAD), calls.model("b", DEAD))

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(0.15)


@pytest.mark.parametrize(("attempts", "retry_after"), [(1, 30.0), (2, 0.1)])
def test_a_caller_is_told_to_wait_as_long_as_the_soonest_provider_asks(attempts: int, retry_after: float) -> None:
    """Of a failure as of a cooldown: what was asked of us is no secret of ours."""
    calls = ModelCalls(max_attempts=attempts, base_delay=0.2, draw=0.0)
    a, b = calls.model("a", Broken("503", retry_after=30.0)), calls.model("b", DEAD)

    asked = calls.answer(*(a, b)[:attempts])

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(retry_after)


def test_a_repeat_that_its_circuit_kept_out_is_no_end_for_good() -> None:
    """The caller is told when the circuit lets calls pass again."""
    calls = ModelCalls(base_delay=0.2, draw=0.5)
    a = calls.model("a", DEAD, policy=BreakerPolicy(consecutive_failures=9, open_for=5.0, jitter=0.0))

    async def main() -> Asked:
        task = asyncio.ensure_future(calls.ask(a))
        await calls.clock.sleep(0.05)
        a.model.breaker.trip("somebody else's call", 5.0)
        return await task

    asked = calls.run(main())

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(4.95)


def test_a_provider_that_wants_no_repeat_of_ours_may_have_one_of_the_callers() -> None:
    """Later, as it asks."""
    calls = ModelCalls()

    asked = calls.answer(calls.model("a", CoolingDown("429", retry_after=20.0, may_repeat=False)))

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(20.0)


@pytest.mark.parametrize("failure", [QuotaSpent("429"), Blocked("403")], ids=repr)
def test_nobody_is_told_to_come_back_for_what_no_model_will_ever_answer(failure: UpstreamFailure) -> None:
    """One finds it too long, the other's account is out of credit, or it is blocked: waiting mends nothing of that."""
    calls = ModelCalls()

    asked = calls.answer(calls.model("a", TooLong("8k")), calls.model("b", failure))

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after is None


def test_a_model_whose_retry_budget_is_spent_is_no_end_for_another() -> None:
    """It is passed over for the one that may be asked again."""
    calls = ModelCalls()
    a = calls.model("a", DEAD, budget=RetryBudget(calls.clock, ratio=0.0, floor_per_second=0.0))
    b = calls.model("b", DEAD, "text")

    asked = calls.answer(a, b)

    assert asked.heard.text == "text"
    assert [name for name, _ in asked.attempts] == ["a", "b", "b"]


def test_an_exhausted_retry_budget_ends_the_call_without_waiting() -> None:
    """A repeat that the budget does not allow is not waited for."""
    calls = ModelCalls()
    a = calls.model("a", DEAD, budget=RetryBudget(calls.clock, ratio=0.0, floor_per_second=0.0))

    asked = calls.answer(a)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.seconds == 0.0
    assert len(a.calls) == 1


def test_a_dead_model_sees_hardly_more_calls_than_come() -> None:
    """At 50 calls a second the retry budget keeps repeats to a tenth."""
    calls = ModelCalls()
    a = calls.model("a", *[DEAD] * 10_000)

    async def load() -> None:
        for _ in range(1000):
            await calls.ask(a)
            await calls.clock.sleep(0.02)

    calls.run(load())

    assert 1000 < len(a.calls) <= 1101


def test_failover_costs_no_retry_budget() -> None:
    """The first try of each model is no repeat, however often that happens."""
    calls = ModelCalls()
    budget = RetryBudget(calls.clock, ratio=0.0, floor_per_second=0.0)
    a, b = calls.model("a", *[DEAD] * 20, budget=budget), calls.model("b", budget=budget)

    async def load() -> list[Asked]:
        return [await calls.ask(a, b) for _ in range(20)]

    assert all(asked.heard.text == "ok" for asked in calls.run(load()))


def test_an_open_model_is_passed_over() -> None:
    """It is no attempt, and takes no time."""
    calls = ModelCalls()
    a, b = calls.model("a", policy=OPENS_AT_ONCE), calls.model("b", "text")
    a.model.breaker.force_open("test")

    asked = calls.answer(a, b)

    assert asked.attempts == [("b", "")]
    assert a.calls == []


def test_where_every_model_is_open_nobody_waits() -> None:
    """The caller is told of the soonest recovery."""
    calls = ModelCalls()
    a, b = calls.model("a", policy=OPENS_AT_ONCE), calls.model("b", policy=OPENS_AT_ONCE)
    a.model.breaker.trip("test", 20.0)
    b.model.breaker.trip("test", 7.0)

    asked = calls.answer(a, b)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(7.0)
    assert asked.seconds == 0.0
    assert asked.attempts == []


def test_a_model_that_opened_meanwhile_is_not_repeated() -> None:
    """A failure that opens its circuit ends the second round before it begins."""
    calls = ModelCalls()
    a = calls.model("a", DEAD, policy=OPENS_AT_ONCE)

    asked = calls.answer(a)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(5.0)
    assert len(a.calls) == 1


def test_a_circuit_that_opens_during_the_backoff_costs_no_attempt() -> None:
    """What the circuit did not admit was no attempt, no repeat, and gave its permit back."""
    calls = ModelCalls()
    a = calls.model("a", DEAD)

    async def main() -> Asked:
        task = asyncio.ensure_future(calls.ask(a))
        await calls.clock.sleep(0.05)
        a.model.breaker.force_open("test")
        return await task

    asked = calls.run(main())

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.attempts == [("a", "connect")]
    assert a.in_flight == 0
    assert a.repeats_left == 10


def test_a_full_model_is_passed_over() -> None:
    """Room at the next model is taken at once."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=0), calls.model("b", "text")

    asked = calls.answer(a, b)

    assert asked.attempts == [("b", "")]
    assert asked.seconds == 0.0


@pytest.mark.parametrize(("within", "waited"), [(30.0, 2.0), (4.0, 1.0)])
def test_where_every_model_is_full_a_call_waits_a_little(within: float, waited: float) -> None:
    """At most 2 s and at most a quarter of what is left, then it is refused without an attempt."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=0), calls.model("b", max_in_flight=0)

    asked = calls.answer(a, b, within=within)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.seconds == pytest.approx(waited)
    assert asked.attempts == []
    assert a.model.permits.waiting == b.model.permits.waiting == 0


def test_the_first_room_is_taken() -> None:
    """The call goes to whichever model has a place first, and gives it back."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=1), calls.model("b", "text", max_in_flight=1)
    assert a.model.permits.take()
    assert b.model.permits.take()

    async def main() -> Asked:
        task = asyncio.ensure_future(calls.ask(a, b))
        await calls.clock.sleep(0.5)
        b.model.permits.release()
        return await task

    asked = calls.run(main())

    assert asked.attempts == [("b", "")]
    assert asked.seconds == pytest.approx(0.5)
    assert b.in_flight == 0
    assert a.in_flight == 1


def test_a_call_waits_for_room_once() -> None:
    """A second wait would add up to more than was promised."""
    calls = ModelCalls()
    a, b = calls.model("a", DEAD, DEAD, DEAD, DEAD), calls.model("b", max_in_flight=0)

    asked = calls.answer(a, b, within=60.0)

    assert [name for name, _ in asked.attempts] == ["a", "a", "a", "a"]
    assert asked.seconds == pytest.approx(2.0 + 0.1 + 0.2 + 0.4)


@pytest.mark.parametrize(("within", "waited"), [(60.0, 2.0), (4.0, 1.0)])
def test_what_is_left_of_the_wait_for_room_may_be_waited_later(within: float, waited: float) -> None:
    """All waits for room together are no longer than one may be; the backoff comes on top."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=1), calls.model("b", DEAD, max_in_flight=1)
    assert a.model.permits.take()
    assert b.model.permits.take()

    async def main() -> Asked:
        task = asyncio.ensure_future(calls.ask(a, b, within=within))
        later(0.5, b.model.permits.release)
        later(0.55, b.model.permits.take)
        return await task

    asked = calls.run(main())

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.attempts == [("b", "connect")]
    assert asked.outcome.waited == pytest.approx(waited + 0.1)
    assert b.repeats_left == 10


def test_a_full_model_is_passed_over_in_the_second_round_too() -> None:
    """For another that failed before and has room."""
    calls = ModelCalls()
    a, b = calls.model("a", DEAD, max_in_flight=1), calls.model("b", DEAD, "text")

    async def main() -> Asked:
        later(0.05, a.model.permits.take)
        return await calls.ask(a, b)

    asked = calls.run(main())

    assert asked.attempts == [("a", "connect"), ("b", "connect"), ("b", "")]
    assert asked.seconds == pytest.approx(0.1)
    assert (a.repeats_left, b.repeats_left) == (10, 9)


def test_a_model_that_is_back_by_the_second_round_is_asked_first() -> None:
    """It was not tried yet, so it costs nobody's retry budget."""
    calls = ModelCalls()
    a, b = calls.model("a", DEAD), calls.model("b", "text")
    b.model.breaker.trip("test", 0.05)

    asked = calls.answer(a, b)

    assert asked.attempts == [("a", "connect"), ("b", "")]
    assert asked.seconds == pytest.approx(0.1)
    assert a.repeats_left == 10


def test_room_is_waited_for_in_the_second_round_too() -> None:
    """At whichever model has it first, tried before or not."""
    calls = ModelCalls()
    a, b = calls.model("a", DEAD, max_in_flight=1), calls.model("b", DEAD, "text", max_in_flight=1)

    async def main() -> Asked:
        for model in (a, b):
            later(0.05, model.model.permits.take)
        later(0.4, b.model.permits.release)
        return await calls.ask(a, b)

    asked = calls.run(main())

    assert asked.attempts == [("a", "connect"), ("b", "connect"), ("b", "")]
    assert asked.seconds == pytest.approx(0.4)
    assert (a.repeats_left, b.repeats_left) == (10, 9)


def test_a_provider_that_asks_for_patience_is_asked_when_that_is_over_though_another_is_full() -> None:
    """Whichever comes first."""
    calls = ModelCalls()
    a = calls.model("a", DEAD, max_in_flight=1)
    b = calls.model("b", CoolingDown("429", retry_after=5.0), "text")

    async def main() -> Asked:
        later(0.05, a.model.permits.take)
        return await calls.ask(a, b)

    asked = calls.run(main())

    assert asked.attempts == [("a", "connect"), ("b", "rate_limited"), ("b", "")]
    assert asked.seconds == pytest.approx(5.0, abs=AT_ONCE)


@pytest.mark.parametrize(("room_after", "asked_first"), [(1.0, "b"), (0.2, "a")])
def test_whichever_comes_first_room_or_a_grant_is_taken(room_after: float, asked_first: str) -> None:
    """One model is full, the other's grant is back in half a second."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=1), calls.model("b", allowance=back_in(calls, 0.5))
    assert a.model.permits.take()
    assert b.model.allowance.take(0)

    async def main() -> Asked:
        later(room_after, a.model.permits.release)
        return await calls.ask(a, b)

    asked = calls.run(main())

    assert asked.attempts == [(asked_first, "")]
    assert asked.seconds == pytest.approx(min(room_after, 0.5), abs=AT_ONCE)
    assert a.model.permits.waiting == 0


def test_who_waits_for_room_keeps_its_place_when_another_model_comes_due() -> None:
    """One waits for a from the start, another from 0.3 s on; b's grant, due at 0.5 s, is lost; then a has room."""
    calls = ModelCalls()
    a = calls.model("a", (5.0, "text"), (5.0, "text"), max_in_flight=1)
    b = calls.model("b", allowance=back_in(calls, 0.5))
    assert a.model.permits.take()
    assert b.model.allowance.take(0)

    async def second() -> Asked:
        await asyncio.sleep(0.3)
        return await calls.ask(a)

    async def main() -> tuple[Asked, Asked]:
        later(0.5, b.model.allowance.take, 0)
        later(0.6, a.model.permits.release)
        return await asyncio.gather(calls.ask(a, b), second())

    first, other = calls.run(main())

    assert first.attempts == [("a", "")]
    assert first.seconds == pytest.approx(5.6)
    assert isinstance(other.refusal, ModelsUnavailable)


def test_a_full_queue_is_no_end_of_the_wait_for_a_grant() -> None:
    """Nobody waits in it, and the other model is asked when it comes due."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=0), calls.model("b", allowance=back_in(calls, 0.5))
    while a.model.permits.enqueue(lambda: None) is not None:
        pass
    assert b.model.allowance.take(0)

    asked = calls.answer(a, b)

    assert asked.attempts == [("b", "")]
    assert asked.seconds == pytest.approx(0.5, abs=AT_ONCE)


@pytest.fixture
def booked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other calls run between the choice of a model and its circuit's word, as while the meter writes its ledger."""
    admitted = Admission.__call__

    async def booked(it: Admission, call: Call[Prompt], proceed: Handler[Prompt]) -> None:
        await asyncio.sleep(0)
        await admitted(it, call, proceed)

    monkeypatch.setattr(Admission, "__call__", booked)


@pytest.mark.usefixtures("booked_first")
def test_who_comes_second_to_a_probe_may_ask_the_model_later() -> None:
    """It is looked at once more at the end of the wait for room."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=0), calls.model("b")
    b.model.breaker.trip("test", 0.5)

    async def main() -> tuple[Asked, Asked]:
        return await asyncio.gather(calls.ask(a, b), calls.ask(a, b))

    asked = calls.run(main())

    assert [each.attempts for each in asked] == [[("b", "")]] * 2
    assert [each.seconds for each in asked] == pytest.approx([0.5, 2.0], abs=AT_ONCE)
    assert b.in_flight == 0


@pytest.mark.usefixtures("booked_first")
def test_a_repeat_that_comes_second_to_a_probe_is_still_to_be_made() -> None:
    """What was passed over was none: it costs no budget, and no longer backoff than a pause."""
    calls = ModelCalls(max_attempts=2, base_delay=2.0)
    policy = BreakerPolicy(consecutive_failures=1_000_000, min_calls=1_000_000, probe_timeout=0.5)
    a = calls.model("a", DEAD, DEAD, policy=policy)

    async def main() -> tuple[Asked, Asked]:
        later(0.5, a.model.breaker.trip, "test", 0.5)
        return await asyncio.gather(calls.ask(a), calls.ask(a))

    asked = calls.run(main())

    assert [each.attempts for each in asked] == [[("a", "connect"), ("a", "")]] * 2
    assert [each.seconds for each in asked] == pytest.approx([1.0, 2.5], abs=AT_ONCE)
    assert (a.in_flight, a.repeats_left) == (0, 8)


def test_a_model_that_passes_a_call_over_is_not_asked_again_at_once() -> None:
    """Whatever its circuit says of when it will admit a call."""
    calls = ModelCalls()
    a = calls.model("a")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CircuitBreaker, "admit", lambda _: None)
        asked = calls.answer(a)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(0.15)
    assert asked.attempts == []


def test_who_comes_behind_a_probe_is_told_to_come_back_soon() -> None:
    """Not when the probe's time is over: its verdict comes long before that, as a rule."""
    calls = ModelCalls()
    policy = BreakerPolicy(open_for=3.0, probe_timeout=120.0)
    a = calls.model("a", policy=policy)
    a.model.breaker.trip("test", 0.0)
    a.model.breaker.admit()

    asked = calls.answer(a)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == 3.0


def test_a_circuit_whose_probe_comes_due_ends_a_wait_for_room() -> None:
    """It needs somebody's call to close again."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=0), calls.model("b")
    b.model.breaker.trip("test", 0.5)

    asked = calls.answer(a, b)

    assert asked.attempts == [("b", "")]
    assert asked.seconds == pytest.approx(0.5, abs=AT_ONCE)


def test_a_grant_that_went_to_another_is_no_end_of_the_wait_for_room() -> None:
    """The full model has a place within the time that was promised."""
    calls = ModelCalls()
    a, b = calls.model("a", max_in_flight=1), calls.model("b", allowance=back_in(calls, 0.5))
    assert a.model.permits.take()
    assert b.model.allowance.take(0)

    async def main() -> Asked:
        later(0.5, b.model.allowance.take, 0)
        later(1.0, a.model.permits.release)
        return await calls.ask(a, b)

    asked = calls.run(main())

    assert asked.attempts == [("a", "")]
    assert asked.seconds == pytest.approx(1.0)


def test_a_place_without_a_grant_is_no_end_of_the_wait_for_another_grant() -> None:
    """The place goes back, and the other model is asked when it comes due."""
    calls = ModelCalls()
    a = calls.model("a", max_in_flight=1, allowance=back_in(calls, 10.0))
    b = calls.model("b", allowance=back_in(calls, 0.5))
    assert a.model.permits.take()
    assert b.model.allowance.take(0)

    async def main() -> Asked:
        later(0.2, a.model.allowance.take, 0)
        later(0.2, a.model.permits.release)
        return await calls.ask(a, b)

    asked = calls.run(main())

    assert asked.attempts == [("b", "")]
    assert asked.seconds == pytest.approx(0.5, abs=AT_ONCE)
    assert a.in_flight == 0


def test_an_event_loop_that_wakes_too_soon_costs_nobody_an_answer() -> None:
    """It counts in milliseconds: what comes due within one of them is not due yet."""
    calls = ModelCalls()
    a = calls.model("a", CoolingDown("429", retry_after=1.5), "text")
    b = calls.model("b", allowance=back_in(calls, 0.5))
    assert b.model.allowance.take(0)

    async def sleep(_: VirtualClock, seconds: float) -> None:
        await asyncio.sleep(seconds - 0.0005)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VirtualClock, "sleep", sleep)
        asked = calls.run(both(calls.ask(b), calls.ask(a)))

    assert [each.heard.text for each in asked] == ["ok", "text"]


def test_a_crowd_does_not_wait_for_the_few_repeats_that_the_budget_grants() -> None:
    """Those who will get none are told at once."""
    calls = ModelCalls()
    a = calls.model("a", *[DEAD] * 30)

    async def main() -> list[Asked]:
        return await asyncio.gather(*(calls.ask(a) for _ in range(30)))

    asked = calls.run(main())

    assert sum(each.seconds == 0.0 for each in asked) == 20
    assert sum(each.heard.text == "ok" for each in asked) == 10


def back_in(calls: ModelCalls, seconds: float) -> Allowance:
    """One request at a time, granted again `seconds` after it was taken."""
    return Allowance(requests=TokenBucket(1.0 / seconds, 1, calls.clock))


def later(seconds: float, do: Callable[..., object], *given: object) -> None:
    """Have it done after `seconds`, as by another call."""
    asyncio.get_running_loop().call_later(seconds, do, *given)


async def both(one: Awaitable[Asked], other: Awaitable[Asked]) -> tuple[Asked, Asked]:
    """Make one call, then the other."""
    return await one, await other


def test_a_grant_that_is_used_up_passes_a_model_over() -> None:
    """The provider's own limit is met before the provider has to say so."""
    calls = ModelCalls()
    requests = Allowance(requests=TokenBucket(0.1, 1, calls.clock))
    a, b = calls.model("a", allowance=requests), calls.model("b")

    async def main() -> list[Asked]:
        return [await calls.ask(a, b) for _ in range(3)]

    asked = calls.run(main())

    assert [each.outcome.model for each in asked] == ["a", "b", "b"]
    assert a.in_flight == 0


def test_a_grant_that_is_soon_back_is_waited_for() -> None:
    """As for room: a little."""
    calls = ModelCalls()
    a = calls.model("a", allowance=Allowance(requests=TokenBucket(2.0, 1, calls.clock)))

    async def main() -> list[Asked]:
        return [await calls.ask(a), await calls.ask(a)]

    first, second = calls.run(main())

    assert (first.heard.text, first.seconds) == ("ok", 0.0)
    assert second.heard.text == "ok"
    assert second.seconds == pytest.approx(0.5, abs=AT_ONCE)


def test_a_grant_that_comes_too_late_is_not_waited_for() -> None:
    """The caller is told when it is back."""
    calls = ModelCalls()
    a = calls.model("a", allowance=Allowance(requests=TokenBucket(0.1, 1, calls.clock)))

    async def main() -> list[Asked]:
        return [await calls.ask(a), await calls.ask(a)]

    _, second = calls.run(main())

    assert isinstance(second.refusal, ModelsUnavailable)
    assert second.refusal.retry_after == pytest.approx(10.0)
    assert second.seconds == 0.0


SMALL, LARGE = 10, 1000
"""Grants of tokens that are less, and more, than a call takes."""


def test_a_call_larger_than_every_whole_grant_is_the_callers_mistake() -> None:
    """No time would help, whatever the circuits say."""
    calls = ModelCalls()
    a, b = (calls.model("ab"[each], allowance=granted(calls, SMALL + each)) for each in range(2))
    a.model.breaker.force_open("reset")

    asked = calls.answer(a, b)

    assert isinstance(asked.refusal, InvalidRequest)
    assert "109 tokens, but no model of the route is granted more than 11 at once" in asked.refusal.message
    assert asked.seconds == 0.0
    assert [model.in_flight for model in (a, b)] == [0, 0]


def test_a_call_that_fits_a_model_kept_out_by_operators_is_no_mistake() -> None:
    """It is enabled again one day."""
    calls = ModelCalls()
    small, large = calls.model("a", allowance=granted(calls, SMALL)), calls.model("b", allowance=granted(calls, LARGE))
    large.model.breaker.disable()

    assert isinstance(calls.answer(small, large).refusal, ModelsUnavailable)


def test_a_call_that_one_model_may_take_later_is_no_mistake() -> None:
    """Its circuit is open, and will not be for ever."""
    calls = ModelCalls()
    a, b = calls.model("a", allowance=granted(calls, SMALL)), calls.model("b", allowance=granted(calls, LARGE))
    b.model.breaker.force_open("reset")

    asked = calls.answer(a, b)

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.refusal.retry_after == pytest.approx(b.model.breaker.wait())


def test_a_call_too_large_for_one_model_is_taken_by_another() -> None:
    """Without a word."""
    calls = ModelCalls()

    asked = calls.answer(calls.model("a", allowance=granted(calls, SMALL)), calls.model("b", "text"))

    assert asked.heard.text == "text"


def granted(calls: ModelCalls, tokens: int) -> Allowance:
    """So many tokens at once."""
    return Allowance(tokens=TokenBucket(1.0, tokens, calls.clock))


def test_a_place_whose_grant_went_to_another_is_given_back() -> None:
    """Room without a grant is no use; the permit does not stay out."""
    calls = ModelCalls()
    a = calls.model("a", max_in_flight=1, allowance=Allowance(requests=TokenBucket(0.1, 1, calls.clock)))
    assert a.model.permits.take()

    async def main() -> Asked:
        task = asyncio.ensure_future(calls.ask(a))
        await calls.clock.sleep(0.5)
        assert a.model.allowance.take(0)
        a.model.permits.release()
        return await task

    asked = calls.run(main())

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert a.in_flight == 0


def test_a_repeat_that_finds_no_room_is_no_repeat() -> None:
    """Once it was waited for in vain, the budget has it back."""
    calls = ModelCalls()
    a = calls.model("a", DEAD, max_in_flight=1)

    async def main() -> Asked:
        task = asyncio.ensure_future(calls.ask(a))
        await calls.clock.sleep(0.05)
        assert a.model.permits.take()
        return await task

    asked = calls.run(main())

    assert isinstance(asked.refusal, ModelsUnavailable)
    assert asked.attempts == [("a", "connect")]
    assert a.repeats_left == 10


def test_three_hanging_models_end_in_time() -> None:
    """The deadline is split so that each is asked, and there is time left to say so."""
    calls = ModelCalls()
    models = [calls.model(name, HANGS) for name in "abc"]

    asked = calls.answer(*models, within=2.0)

    assert isinstance(asked.refusal, DeadlineExceeded)
    assert asked.attempts == [(name, "deadline") for name in "abc"]
    assert 1.85 <= asked.seconds <= 2.0


def test_a_fallback_behind_a_hanging_model_still_answers() -> None:
    """A third of the time is kept for a model whose speed is not known yet."""
    calls = ModelCalls()
    a, b = calls.model("a", HANGS), calls.model("b", (0.4, "text"))

    asked = calls.answer(a, b, within=2.0)

    assert asked.heard.text == "text"
    assert asked.seconds < 2.0


@pytest.mark.parametrize("streams", [True, False])
def test_a_model_that_needs_most_of_the_time_is_not_cut(*, streams: bool) -> None:
    """60 % of the deadline is the first model's, though another waits behind it."""
    calls = ModelCalls()
    a, b = calls.model("a", (1.2, "text")), calls.model("b")

    asked = calls.answer(a, b, within=2.0, streams=streams)

    assert asked.attempts == [("a", "")]
    assert asked.heard.text == "text"


def test_what_is_kept_for_a_known_model_is_what_it_needs() -> None:
    """A fast fallback leaves the first model almost all of the time."""
    calls = ModelCalls()
    a, b = calls.model("a", (1.7, "text")), calls.model("b")
    for _ in range(10):
        b.model.first_tokens.observe(0.1)

    assert calls.answer(a, b, within=2.0).attempts == [("a", "")]


@pytest.mark.parametrize("streams_before", [False, True])
def test_a_unary_failover_is_left_the_time_of_a_whole_answer(*, streams_before: bool) -> None:
    """However soon the first tokens of the next model's streams come: this call waits for its last one."""
    calls = ModelCalls()
    before = (0.5, "first", 6.5, "rest") if streams_before else (7.0, "whole")
    a, b = calls.model("a", HANGS), calls.model("b", *[before] * 6, (7.0, "whole"))

    async def main() -> Asked:
        for _ in range(6):
            await calls.ask(b, streams=streams_before)
        return await calls.ask(a, b, streams=False, within=30.0)

    assert calls.run(main()).attempts == [("a", "deadline"), ("b", "")]


@pytest.mark.parametrize("streams_before", [False, True])
def test_a_streams_failover_is_left_the_time_of_a_first_token(*, streams_before: bool) -> None:
    """However long the next model's whole answers take: the first one, which is slow, is not cut for them."""
    calls = ModelCalls()
    before = (0.5, "first", 7.5, "rest") if streams_before else (8.0, "whole")
    a, b = calls.model("a", (9.0, "slow but there")), calls.model("b", *[before] * 6)

    async def main() -> Asked:
        for _ in range(6):
            await calls.ask(b, streams=streams_before)
        return await calls.ask(a, b, streams=True, within=15.0)

    assert calls.run(main()).attempts == [("a", "")]


def test_what_the_callers_time_ended_is_not_asked_again() -> None:
    """In the half second that is kept for our own ending: it would be paid for twice, and heard by nobody."""
    calls = ModelCalls()
    a = calls.model("a", *[(40.0, "a long answer")] * 3)

    asked = calls.answer(a, streams=False, within=30.0)

    assert asked.attempts == [("a", "deadline")]
    assert isinstance(asked.refusal, DeadlineExceeded)


def test_under_20_ms_nothing_is_started() -> None:
    """A deadline that near is hopeless."""
    calls = ModelCalls()
    a = calls.model("a")

    asked = calls.answer(a, within=0.019)

    assert isinstance(asked.refusal, DeadlineExceeded)
    assert a.calls == []


@pytest.mark.parametrize(("within", "attempts"), [(0.255, 1), (0.28, 2)])
def test_a_repeat_that_would_have_less_is_not_waited_for(within: float, attempts: int) -> None:
    """Its backoff leaves 55 ms, of which 50 are for our own ending; or 80, of which 30 are the attempt's."""
    calls = ModelCalls(base_delay=0.2, draw=0.9999)
    a = calls.model("a", DEAD, HANGS)

    asked = calls.answer(a, within=within)

    assert len(a.calls) == attempts
    assert asked.seconds == pytest.approx(0.0 if attempts == 1 else within - 0.05, abs=AT_ONCE)
    assert a.repeats_left == 11 - attempts


def test_room_that_comes_too_late_for_an_answer_is_given_back() -> None:
    """The caller hears of its deadline, and the model of nothing."""
    calls = ModelCalls()
    a = calls.model("a", max_in_flight=1)
    assert a.model.permits.take()

    async def main() -> Asked:
        later(0.0178, a.model.permits.release)
        return await calls.ask(a, within=0.0715)

    asked = calls.run(main())

    assert isinstance(asked.refusal, DeadlineExceeded)
    assert asked.refusal.message == "too little time is left to ask a model"
    assert (a.calls, a.in_flight) == ([], 0)


def test_time_that_runs_out_between_attempts_tells_of_the_failures() -> None:
    """What failed last is a better answer than the clock's."""
    calls = ModelCalls()
    a, b = calls.model("a", (0.99, TooLong("8k"))), calls.model("b")
    b.model.breaker.force_open("test")

    asked = calls.answer(a, b, within=1.0)

    assert asked.attempts == [("a", "deadline")]
    assert isinstance(asked.refusal, DeadlineExceeded)
    assert b.calls == []


def test_a_models_own_timeout_is_not_the_callers() -> None:
    """The last model was given its time: UNAVAILABLE, and worth another try."""
    calls = ModelCalls(max_attempts=1)
    a = calls.model("a", HANGS, timeouts=Timeouts(first_token=0.5))

    asked = calls.answer(a)

    assert isinstance(asked.refusal, UpstreamTimeout)
    assert asked.refusal.retry_after is not None
    assert asked.attempts == [("a", "first_token_timeout")]


@pytest.mark.parametrize(
    ("script", "after"),
    [((HANGS,), 1.0), (("Once", HANGS), 1.0), ((DEAD,), 0.0), ((Filtered("no"),), 0.0)],
    ids=["before content", "mid-stream", "failed", "filtered"],
)
def test_a_permit_comes_back_however_an_attempt_ends(script: tuple[str | float | Exception, ...], after: float) -> None:
    """Cancelled or failed, nothing stays out."""
    calls = ModelCalls(max_attempts=1)
    a = calls.model("a", script)

    asked = calls.run(calls.cancelled(a, after=after))

    assert a.in_flight == 0
    assert asked.outcome.attempts[0].ended_at == calls.clock.monotonic()


def test_a_cancel_during_an_attempt_says_nothing_of_the_model() -> None:
    """The attempt is on record as cancelled, the breaker and the budget are as they were."""
    calls = ModelCalls()
    a = calls.model("a", HANGS, policy=OPENS_AT_ONCE)

    asked = calls.run(calls.cancelled(a, after=1.0))

    assert isinstance(asked.error, asyncio.CancelledError)
    assert asked.attempts == [("a", "cancelled")]
    assert a.model.breaker.record.error_rate == 0.0
    assert calls.changes == []


def test_a_cancel_in_the_backoff_refunds_the_repeat() -> None:
    """What was not sent is not counted."""
    calls = ModelCalls(base_delay=20.0)
    a = calls.model("a", CoolingDown("429", retry_after=9.5))

    asked = calls.run(calls.cancelled(a, after=0.5))

    assert isinstance(asked.error, asyncio.CancelledError)
    assert asked.attempts == [("a", "rate_limited")]
    assert a.repeats_left == 10


def test_a_cancel_during_a_repeat_refunds_it() -> None:
    """The budget is for what reached the model by our own will alone."""
    calls = ModelCalls()
    a = calls.model("a", DEAD, HANGS)

    asked = calls.run(calls.cancelled(a, after=1.0))

    assert asked.attempts == [("a", "connect"), ("a", "cancelled")]
    assert a.repeats_left == 10


def test_a_cancel_while_waiting_for_room_leaves_the_queue() -> None:
    """No place and no permit stays behind."""
    calls = ModelCalls()
    a = calls.model("a", max_in_flight=0)

    asked = calls.run(calls.cancelled(a, after=1.0))

    assert isinstance(asked.error, asyncio.CancelledError)
    assert a.model.permits.waiting == 0
    assert a.in_flight == 0
    assert asked.attempts == []


def test_an_error_of_the_callers_send_is_nobodys_failure() -> None:
    """A reader that is gone ends the call as its own error, without another attempt."""
    calls = ModelCalls()
    a, b = calls.model("a", policy=OPENS_AT_ONCE), calls.model("b")

    async def gone(reply: Reply) -> None:
        raise ConnectionResetError

    asked = calls.answer(a, b, send=lambda _: gone)

    assert isinstance(asked.error, ConnectionResetError)
    assert asked.attempts == [("a", "internal")]
    assert a.model.breaker.record.error_rate == 0.0
    assert a.in_flight == 0
    assert b.calls == []


def test_a_reader_too_slow_for_the_models_time_is_told_that_the_answer_broke_off() -> None:
    """Its own deadline is far, so more time would not help; nor is the model to blame."""
    calls = ModelCalls()
    a = calls.model("a", ("one", "two", "three"), timeouts=Timeouts(total=2.0), policy=OPENS_AT_ONCE)

    def slow(asked: Asked) -> Send:
        async def send(reply: Reply) -> None:
            await calls.clock.sleep(1.5)
            await asked.heard.take(reply)

        return send

    asked = calls.answer(a, within=600.0, send=slow)

    assert isinstance(asked.refusal, StreamBroken)
    assert asked.refusal.message == "the answer broke off: slow_reader"
    assert asked.refusal.metadata == {"partial": "true"}
    assert asked.attempts == [("a", "slow_reader")]
    assert (a.model.breaker.record.error_rate, a.model.breaker.record.futility) == (0.0, 0.0)


def test_a_refusal_of_ours_on_the_way_to_the_model_ends_the_call() -> None:
    """A budget that is used up is used up for the next model too."""
    calls = ModelCalls()
    refusal = ModelsUnavailable("not ours to say here")
    a, b = calls.model("a", refusal), calls.model("b")

    asked = calls.answer(a, b)

    assert asked.error is refusal
    assert asked.attempts == [("a", "models_unavailable")]
    assert a.in_flight == 0
    assert b.calls == []


def test_a_text_that_cannot_be_counted_leaks_no_permit() -> None:
    """Counting the tokens of a lone surrogate fails before anything was taken."""
    calls = ModelCalls()
    a = calls.model("a", allowance=Allowance(tokens=TokenBucket(1.0, 1000, calls.clock)))

    asked = calls.answer(a, text="\ud83d")

    assert isinstance(asked.error, UnicodeEncodeError)
    assert a.in_flight == 0


def test_out_of_time_is_not_repeated() -> None:
    """A caller's deadline that cut one attempt would cut its repeat."""
    calls = ModelCalls()
    a = calls.model("a", OutOfTime("cut"))

    asked = calls.answer(a)

    assert isinstance(asked.refusal, DeadlineExceeded)
    assert len(a.calls) == 1


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("a", "granted", "attempts", "seconds"),
    [
        pytest.param((8.0, "late"), 20.0, [("a", "")], 8.0, id="an attempt goes on"),
        pytest.param((7.0, DEAD), 20.0, [("a", "connect"), ("b", "")], 7.0, id="another one is made"),
        pytest.param((HANGS,), 3.0, [("a", "deadline")], 5.0, id="less than there was changes nothing"),
    ],
)
def test_overtime_is_the_calls_own_time(
    *, streams: bool, a: Answer, granted: float, attempts: list[tuple[str, str]], seconds: float
) -> None:
    """A call that was to end after 5 s, and of which somebody wants to hear more after 2 s."""
    calls, overtime = ModelCalls(), Overtime()
    models = [calls.model("a", a)] + ([calls.model("b", "instead")] if len(attempts) > 1 else [])

    async def main() -> Asked:
        until = calls.clock.monotonic() + granted
        asyncio.get_running_loop().call_later(2.0, overtime.grant, until)
        return await calls.ask(*models, within=5.0, streams=streams, overtime=overtime)

    asked = calls.run(main())

    assert asked.attempts == attempts
    assert asked.seconds == pytest.approx(seconds, abs=0.3)


def test_a_thought_commits_to_nothing() -> None:
    """A model that breaks off while it reasons is followed by the next, and the caller hears one answer."""
    calls = ModelCalls()

    asked = calls.answer(calls.model("a", (Thought(8), DEAD)), calls.model("b", "text"))

    assert asked.heard.text == "text"
    assert asked.attempts == [("a", "connect"), ("b", "")]


def test_a_model_that_reasons_for_long_is_waited_for() -> None:
    """Its first token is a token, shown or not."""
    calls = ModelCalls()
    a = calls.model("a", (1.5, Thought(8), 1.5, Thought(8), 1.5, "text"), timeouts=Timeouts(first_token=2.0, idle=2.0))

    asked = calls.answer(a)

    assert (asked.heard.text, asked.attempts) == ("text", [("a", "")])


@pytest.mark.parametrize("second", ["ok", Broken("b broke", reason="truncated")])
def test_a_call_of_which_an_attempt_failed_is_freed_without_a_collection(second: str | Broken) -> None:
    """Whatever it came to in the end."""
    calls = ModelCalls()

    def is_of_both(call: Call[object]) -> bool:
        asked = call.request
        return isinstance(asked, Prompt) and [model.name for model in asked.route.models] == ["first", "next"]

    async def main() -> int:
        models = [calls.model("first", Broken("a broke", reason="truncated")), calls.model("next", second)]
        with uncollected():
            asked = await calls.ask(*models)
            assert len(asked.attempts) >= 2
            del asked
            for model in models:
                model.calls.clear()
            return len(alive(Call, is_of_both))

    assert virtual_time.run(calls.clock, main()) == 0
