"""A request that is sent again under the same key is the same request."""

from types import NoneType

import pytest
from msgspec.structs import replace

from fakes import virtual_time
from fakes.caching import SECRET
from fakes.calls import PROCESS, REQUEST, STREAM
from fakes.clock import FakeClock
from fakes.keyed_cache import KeyedCache
from fakes.loop import settled
from fakes.shared_work import DONE, Caller, Work, through
from fakes.virtual_time import VirtualClock
from penstockd.answer_keys import AnswerKeys
from penstockd.call import Method
from penstockd.errors import DeadlineExceeded, InvalidRequest, ModelsUnavailable, StreamBroken, UpstreamRejected
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.idempotency import Idempotency
from penstockd.logs.log import Log
from penstockd.metrics.instruments import Count
from penstockd.outcome import CacheStatus, FinishReason
from penstockd.request import CachePolicy, Request
from penstockd.stores.memory_idempotency import MemoryIdempotency

KEYED = replace(REQUEST, idempotency_key="k")


class House:
    """Idempotency around work that a test steers."""

    def __init__(self) -> None:
        self.work = Work()
        self.answers = MemoryIdempotency(FakeClock())
        self.replays = Count()
        self.flights = Flights(FakeClock(), log=Log("test"), linger=1000.0)
        idempotency = Idempotency(
            answers=self.answers,
            flights=self.flights,
            replays=self.replays,
            fingerprint_of=AnswerKeys(SECRET).fingerprint_of,
        )
        self.handle = through(idempotency, self.work)

    def asks(self, request: Request = KEYED, **caller: object) -> Caller:
        """Let a caller ask."""
        return Caller(request, **caller).starts(self.handle)  # type: ignore[arg-type]  # as Caller takes it

    async def answered(self, request: Request = KEYED, text: str = "hello", **caller: object) -> Caller:
        """Let a caller ask, and the work, if it is asked, answer."""
        asking, before = self.asks(request, **caller), len(self.work.calls)
        await settled()
        if len(self.work.calls) > before:
            self.work.say(text)
            self.work.end()
        return await asking.ends()


async def test_a_call_without_a_key_passes() -> None:
    """Each is a request of its own."""
    house = House()

    assert [(await house.answered(REQUEST, text)).text for text in ("a", "b")] == ["a", "b"]


@pytest.mark.parametrize(
    "again",
    [
        KEYED,
        replace(KEYED, request_id="r2"),
        replace(KEYED, cache=CachePolicy.OFF),
        replace(KEYED, cache=CachePolicy.REFRESH),
    ],
)
async def test_the_same_request_under_the_same_key_is_replayed(again: Request) -> None:
    """Whatever its name and cache policy, streamed or whole; it uses nothing."""
    house = House()
    await house.answered()

    replayed = await house.answered(again, method=STREAM)

    assert replayed.text == "hello"
    assert (replayed.outcome.cache, replayed.outcome.agent, replayed.outcome.model) == (CacheStatus.HIT, "default", "m")
    assert replayed.completed
    assert (replayed.completed.usage.total, replayed.outcome.cost_nanousd) == (0, 0)
    assert len(house.work.calls) == 1
    assert house.replays.value == 1


@pytest.mark.parametrize(
    "change",
    [
        {"input": "other"},
        {"agent": "other"},
        {"user_id": "u"},
        {"labels": {"a": "b"}},
        {"parameters": replace(KEYED.parameters, seed=1)},
    ],
)
@pytest.mark.parametrize("is_running", [False, True])
async def test_the_same_key_for_another_request_is_refused(change: dict[str, object], *, is_running: bool) -> None:
    """While the first one runs, and after."""
    house = House()
    first = house.asks()
    await settled()
    if not is_running:
        house.work.end()
        await first.ends()

    other = await house.answered(replace(KEYED, **change))

    assert isinstance(other.error, InvalidRequest)
    assert [violation.field for violation in other.error.violations] == ["idempotency_key"]
    assert len(house.work.calls) == 1
    house.work.end()
    await first.ends()


async def test_another_tenants_key_is_another_key() -> None:
    """Tenants know nothing of each other."""
    house = House()
    await house.answered(text="a", tenant="acme")

    assert (await house.answered(text="b", tenant="other")).text == "b"


async def test_a_twin_joins_the_running_call() -> None:
    """It pays nothing, and hears all."""
    house = House()
    first, twin = house.asks(), house.asks(method=STREAM)
    await settled()
    house.work.say("hello")
    house.work.end()

    assert [(await each.ends()).text for each in (first, twin)] == ["hello", "hello"]
    assert (twin.outcome.cache, len(house.work.calls)) == (CacheStatus.COALESCED, 1)


async def test_a_caller_who_lost_its_connection_finds_its_call_still_running() -> None:
    """Or its answer, if that has come meanwhile."""
    house = House()
    lost = house.asks()
    house.work.say("hel")
    await settled()
    await lost.cancels()

    back = house.asks()
    await settled()
    assert back.texts == ["hel"]
    await back.cancels()
    house.work.say("lo")
    house.work.end()
    await settled()

    assert (await house.answered()).text == "hello"
    assert len(house.work.calls) == 1


@pytest.mark.parametrize("error", [UpstreamRejected("no"), StreamBroken("broke"), ZeroDivisionError()])
async def test_what_failed_may_be_tried_again(error: BaseException) -> None:
    """Even with another request: nothing was answered."""
    house = House()
    first = house.asks()
    await settled()
    house.work.say("half of")
    house.work.fail(error)
    assert (await first.ends()).error is not None

    assert (await house.answered(replace(KEYED, input="other"))).completed == DONE
    assert len(house.work.calls) == 2


async def test_what_those_who_joined_try_again_is_remembered() -> None:
    """Though the claim was given back in between."""
    house = House()
    first, twin = house.asks(), house.asks()
    await settled()
    house.work.fail(ModelsUnavailable("not now"))
    house.work.say("hello")
    house.work.end()
    await first.ends()
    assert (await twin.ends()).text == "hello"

    assert (await house.answered(text="other")).text == "hello"
    assert len(house.work.calls) == 2


async def test_no_other_request_gets_the_key_while_those_who_joined_try_again() -> None:
    """It would be given their answer, and they be told that the key was used for another request."""
    house = House()
    house.asks()
    twin = house.asks()
    await settled()
    house.work.fail(ModelsUnavailable("not now"))
    await settled()

    other = house.asks(replace(KEYED, input="other"))
    await settled()
    house.work.say("hello")
    house.work.end()

    assert isinstance((await other.ends()).error, InvalidRequest)
    assert (await twin.ends()).text == "hello"
    assert (await house.answered()).text == "hello"
    assert len(house.work.calls) == 2


async def test_a_key_is_taken_while_its_work_goes_on_without_callers() -> None:
    """They may come back for it."""
    house = House()
    lost = house.asks()
    await settled()
    await lost.cancels()

    other = await house.answered(replace(KEYED, input="other"))

    assert isinstance(other.error, InvalidRequest)
    house.work.end()
    await settled()


async def test_a_key_is_free_once_nobody_works_under_it() -> None:
    """Whatever the work came to: failed, or cancelled."""
    house = House()
    first = house.asks()
    await settled()
    house.work.fail(ModelsUnavailable("not now"))
    await first.ends()

    assert (await house.answered(replace(KEYED, input="other"))).text == "hello"


async def test_an_answer_cut_at_a_length_is_replayed_as_it_was() -> None:
    """The same request gets the same answer."""
    house = House()
    first = house.asks()
    house.work.say("half of")
    house.work.end(FinishReason.LENGTH)
    await first.ends()

    replayed = await house.answered()

    assert replayed.completed
    assert (replayed.text, replayed.completed.finish_reason) == ("half of", FinishReason.LENGTH)


@pytest.mark.parametrize("method", [PROCESS, STREAM])
def test_who_comes_back_with_more_time_gives_it_to_the_work_behind_the_cache(method: Method) -> None:
    """It is the same work, and goes on to the later limit, though it is shared once more in there."""
    clock = VirtualClock()

    async def main() -> tuple[KeyedCache, Caller]:
        house = KeyedCache(clock)
        lost = house.asks(KEYED, within=1.0, method=method)
        house.work.say("hel")
        await settled()
        await lost.cancels()
        await clock.sleep(0.5)
        assert house.ends_in == pytest.approx(0.5)
        back = house.asks(KEYED, within=4.0, method=method)
        await settled()
        assert house.ends_in == pytest.approx(4.0)
        await clock.sleep(3.0)
        house.work.say("lo")
        house.work.end()
        return house, await back.ends()

    house, back = virtual_time.run(clock, main())

    assert (back.error, back.text, back.outcome.cache) == (None, "hello", CacheStatus.COALESCED)
    assert (len(house.work.calls), house.work.cancels) == (1, 0)


@pytest.mark.parametrize("method", [PROCESS, STREAM])
def test_a_key_has_the_time_of_the_latest_caller_under_it(method: Method) -> None:
    """Not the first one's, and not that of a twin without a key, who keeps the work behind the cache going."""
    clock = VirtualClock()

    async def main() -> tuple[KeyedCache, list[Caller], list[float]]:
        house = KeyedCache(clock)
        callers = [house.asks(KEYED, within=1.0, method=method)]
        await settled()
        callers.append(house.asks(KEYED, within=2.0, method=method))
        callers.append(house.asks(within=4.0, method=method))
        began, took = clock.monotonic(), []
        house.work.say("hel")
        for caller in callers[:2]:
            await caller.ends()
            took.append(clock.monotonic() - began)
        house.work.say("lo")
        house.work.end()
        await callers[2].ends()
        return house, callers, took

    house, callers, took = virtual_time.run(clock, main())

    assert [type(caller.error) for caller in callers] == [DeadlineExceeded, DeadlineExceeded, NoneType]
    assert took == pytest.approx([0.95, 1.9])
    assert callers[2].text == "hello"
    assert (len(house.work.calls), house.work.cancels) == (1, 0)
