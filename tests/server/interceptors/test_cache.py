"""Repeats are answered from what was answered before, as far as agent and caller want it."""

import asyncio
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from fakes import virtual_time
from fakes.caching import SECRET, KeptAgent, answer, answers
from fakes.calls import PROCESS, REQUEST, STREAM
from fakes.clock import FakeClock
from fakes.keyed_cache import KeyedCache
from fakes.loop import settled
from fakes.shared_work import DONE, Caller, Work, through
from fakes.virtual_time import VirtualClock
from penstockd.agent import Directory
from penstockd.answer_keys import AnswerKeys
from penstockd.answers import Answer, Answers, Lookups
from penstockd.errors import ContentFiltered, DeadlineExceeded, StreamBroken
from penstockd.interceptors.cache import Cache
from penstockd.interceptors.flights.flights import Flights
from penstockd.interceptors.flights.replay import LONGEST_PIECE, pieces
from penstockd.logs.log import Log
from penstockd.outcome import CacheStatus, FinishReason
from penstockd.request import CachePolicy, Request

TEXT = "It was a dark and stormy night. " * 40


class House:
    """A cache around work that a test steers."""

    def __init__(self, agent: KeptAgent | None = None, kept: Answers | None = None) -> None:
        self.clock = FakeClock()
        self.work = Work()
        self.answers = kept or answers(self.clock)
        self.lookups = Lookups()
        self.flights = Flights(FakeClock(), log=Log("test"))
        self.cache = Cache(
            agents=Directory([agent or KeptAgent()], default="default"),
            answers=self.answers,
            lookups=self.lookups,
            flights=self.flights,
            key_of=AnswerKeys(SECRET).key_of,
        )
        self.handle = through(self.cache, self.work)

    def asks(self, request: Request = REQUEST, **caller: object) -> Caller:
        """Let a caller ask."""
        return Caller(request, **caller).starts(self.handle)  # type: ignore[arg-type]  # as Caller takes it

    async def answered(self, request: Request = REQUEST, **caller: object) -> Caller:
        """Let a caller ask, and be answered by the work, if that is asked."""
        asking, before = self.asks(request, **caller), len(self.work.calls)
        await settled()
        if len(self.work.calls) > before:
            self.work.say(TEXT)
            self.work.end()
        return await asking.ends()


def policy(which: CachePolicy) -> Request:
    """The request with a policy."""
    return replace(REQUEST, cache=which)


@pytest.mark.parametrize("first", [PROCESS, STREAM])
@pytest.mark.parametrize("second", [PROCESS, STREAM])
async def test_what_one_rpc_stored_serves_the_other(first: object, second: object) -> None:
    """As a whole answer that used nothing and cost nothing."""
    house = House()
    miss = await house.answered(method=first)

    hit = await house.answered(method=second)

    assert (miss.text, hit.text) == (TEXT, TEXT)
    assert (miss.outcome.cache, hit.outcome.cache) == (CacheStatus.MISS, CacheStatus.HIT)
    assert hit.completed
    assert (hit.completed.usage.total, hit.outcome.cost_nanousd, hit.outcome.attempts) == (0, 0, [])
    assert (hit.outcome.agent, hit.outcome.model) == ("default", "m")
    assert len(house.work.calls) == 1
    assert (house.lookups.hits, house.lookups.misses) == (1, 1)


async def test_a_kept_answer_is_streamed_in_natural_pieces() -> None:
    """Cut between words, of some hundred characters, and all there; a unary call gets it in one."""
    house = House()
    await house.answered()

    hit = await house.answered(method=STREAM)

    assert (await house.answered()).texts == [TEXT]
    assert hit.text == TEXT

    assert len(hit.texts) > 3
    assert all(256 <= len(piece) < 300 for piece in hit.texts[:-1])
    assert all(piece.startswith(" ") for piece in hit.texts[1:])


def test_a_text_without_spaces_is_cut_as_well() -> None:
    """Many languages have none."""
    text = "水" * 5000

    cut = list(pieces(text))

    assert "".join(cut) == text
    assert {len(piece) for piece in cut[:-1]} == {LONGEST_PIECE}


@pytest.mark.parametrize(
    ("which", "reads", "writes", "joins"),
    [
        (CachePolicy.DEFAULT, True, True, True),
        (CachePolicy.BYPASS, False, False, True),
        (CachePolicy.REFRESH, False, True, False),
        (CachePolicy.OFF, False, False, False),
    ],
)
async def test_each_policy_does_as_its_row_says(which: CachePolicy, *, reads: bool, writes: bool, joins: bool) -> None:
    """Read, write and join."""
    reading, writing, joining = House(), House(), House()
    await reading.answered()
    await writing.answered(policy(which))
    leader = joining.asks()
    await settled()

    assert (await reading.answered(policy(which))).outcome.cache is (CacheStatus.HIT if reads else CacheStatus.BYPASSED)
    assert ((await writing.answered()).outcome.cache is CacheStatus.HIT) is writes
    follower = joining.asks(policy(which))
    await settled()
    assert len(joining.work.calls) == (1 if joins else 2)
    for _ in joining.work.calls:
        joining.work.end()
    await leader.ends()
    assert ((await follower.ends()).outcome.cache is CacheStatus.COALESCED) is joins


async def test_a_refresh_replaces_what_was_kept() -> None:
    """The next reader gets the fresh answer."""
    house = House()
    await house.answered()
    refresh = house.asks(policy(CachePolicy.REFRESH))
    house.work.say("fresh")
    house.work.end()
    await refresh.ends()

    assert (await house.answered()).text == "fresh"


async def test_a_refresh_is_not_replaced_by_what_was_asked_before() -> None:
    """However long that takes, and whoever joins it meanwhile."""
    house, fresh = House(), Work()
    slow = house.asks()
    await settled()
    refresh = Caller(policy(CachePolicy.REFRESH)).starts(through(house.cache, fresh))
    await settled()
    joiner = house.asks()
    await settled()
    fresh.say("fresh")
    fresh.end()
    await refresh.ends()
    house.work.say("old")
    house.work.end()

    assert [(await caller.ends()).text for caller in (slow, joiner)] == ["old", "old"]
    assert (await house.answered()).text == "fresh"


async def test_of_two_refreshes_the_later_one_is_kept() -> None:
    """Whichever of them takes longer."""
    house, fresh = House(), Work()
    slow = house.asks(policy(CachePolicy.REFRESH))
    await settled()
    refresh = Caller(policy(CachePolicy.REFRESH)).starts(through(house.cache, fresh))
    await settled()
    fresh.say("fresh")
    fresh.end()
    await refresh.ends()
    house.work.say("old")
    house.work.end()
    await slow.ends()

    assert (await house.answered()).text == "fresh"


async def test_who_joins_a_call_that_keeps_nothing_has_its_answer_kept() -> None:
    """Its own row says that it writes."""
    house = House()
    leader = house.asks(policy(CachePolicy.BYPASS))
    await settled()
    joiner = house.asks()
    await settled()
    house.work.end()
    await leader.ends()
    await joiner.ends()

    assert (await house.answered()).outcome.cache is CacheStatus.HIT


async def test_nothing_is_read_written_or_joined_where_the_agent_is_not_cached() -> None:
    """A Python agent without a word about it, or `cache: off`."""
    house = House(KeptAgent(caching=None))
    callers = [house.asks() for _ in range(3)]
    await settled()
    for _ in callers:
        house.work.end()

    for caller in callers:
        assert (await caller.ends()).outcome.cache is CacheStatus.BYPASSED
    await house.answered()
    assert len(house.work.calls) == 4


async def test_an_agent_that_is_not_there_is_not_the_caches_affair() -> None:
    """Whoever comes next says so."""
    house = House()

    assert (await house.answered(replace(REQUEST, agent="gone"))).completed == DONE


@pytest.mark.parametrize("error", [StreamBroken("broke"), ContentFiltered("no"), ZeroDivisionError()])
async def test_a_broken_answer_is_not_kept(error: BaseException) -> None:
    """Whatever broke it, and however much of it there was."""
    house = House()
    broken = house.asks()
    house.work.say("half of")
    house.work.fail(error)
    await broken.ends()

    assert (await house.answered()).text == TEXT
    assert len(house.work.calls) == 2


async def test_a_cancelled_answer_is_not_kept() -> None:
    """What was said until then is half of it."""
    house = House()
    leaver = house.asks()
    house.work.say("half of")
    await settled()
    await leaver.cancels()

    assert (await house.answered()).text == TEXT


async def test_an_answer_cut_at_a_length_is_not_kept() -> None:
    """It was whole only by the caller's max_output_tokens."""
    house = House()
    cut = house.asks()
    house.work.say("half of")
    house.work.end(FinishReason.LENGTH)
    await cut.ends()
    assert cut.completed
    assert cut.completed.finish_reason is FinishReason.LENGTH

    assert (await house.answered()).text == TEXT


async def test_an_answer_made_of_one_that_was_cut_is_not_kept() -> None:
    """Its agent says so, though its own text ended as it should."""
    house = House()
    made = house.asks()
    house.work.say("made of half")
    house.work.end(may_be_kept=False)
    assert (await made.ends()).text == "made of half"

    assert (await house.answered()).text == TEXT


async def test_an_answer_is_kept_for_the_agents_ttl() -> None:
    """And then made again."""
    house = House(KeptAgent())
    await house.answered()
    house.clock.advance(299.0)
    assert (await house.answered()).outcome.cache is CacheStatus.HIT
    house.clock.advance(2.0)

    assert (await house.answered()).outcome.cache is CacheStatus.MISS


async def test_a_hot_key_that_expires_is_asked_once() -> None:
    """500 callers, who come at all times around the expiry, make one call."""
    house = House()
    await house.answered()
    house.clock.advance(301.0)
    callers = []
    for number in range(500):
        callers.append(house.asks())
        if number % 50 == 0:
            await asyncio.sleep(0)
        if number == 400:
            house.work.say("new")
            house.work.end()

    assert {(await caller.ends()).text for caller in callers} == {"new"}
    assert len(house.work.calls) == 2


@dataclass
class Distant:
    """A place for answers that is some way off: a look at it takes as long as a test wants."""

    kept: dict[str, Answer] = field(default_factory=dict)
    looks: int = 0
    way: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, key: str) -> Answer | None:
        self.looks += 1
        found = self.kept.get(key)
        await self.way.wait()
        return found

    async def put(self, key: str, answer: Answer, ttl: float) -> None:
        self.kept[key] = answer

    async def purge(self, *, tenant: str = "", agent: str = "") -> int:
        raise AssertionError("nobody purges")


async def test_an_answer_that_is_kept_while_it_is_looked_up_is_not_made_again() -> None:
    """The look came too early and the flight had landed when it came back."""
    distant = Distant()
    house = House(kept=distant)
    early = house.asks()
    await settled()
    assert distant.looks == 1
    distant.kept = dict.fromkeys([AnswerKeys(SECRET).key_of(early.call, KeptAgent())], answer("since"))
    house.flights.landed += 1
    distant.way.set()

    assert (await early.ends()).text == "since"
    assert early.outcome.cache is CacheStatus.HIT
    assert house.work.calls == []


async def test_an_answer_is_looked_up_once_if_nothing_landed_meanwhile() -> None:
    """What lands between the look and the work is another's: this one's flight is in the air by then."""
    distant = Distant()
    distant.way.set()
    house = House(kept=distant)
    first = house.asks()
    await settled()
    second = house.asks(replace(REQUEST, input="something else"))
    house.work.end()
    await first.ends()
    house.work.end()
    await second.ends()

    assert distant.looks == 2


async def test_what_is_kept_while_a_flight_fails_is_not_made_again() -> None:
    """Those who joined it look before they fly again."""
    distant = Distant()
    distant.way.set()
    house = House(kept=distant)
    first, joined = house.asks(), house.asks()
    await settled()
    distant.kept = dict.fromkeys([AnswerKeys(SECRET).key_of(joined.call, KeptAgent())], answer("since"))
    house.work.fail(StreamBroken("broke"))

    assert (await joined.ends()).text == "since"
    assert isinstance((await first.ends()).error, StreamBroken)
    assert len(house.work.calls) == 1


async def test_tenants_share_nothing() -> None:
    """Neither what is kept nor what is in flight."""
    house = House()
    await house.answered(tenant="acme")
    first, second = house.asks(tenant="other"), house.asks(tenant="third")
    await settled()

    assert len(house.work.calls) == 3
    house.work.end()
    house.work.end()
    await first.ends()
    await second.ends()


KEYED = replace(REQUEST, idempotency_key="k")


@pytest.mark.parametrize("first", [REQUEST, KEYED])
@pytest.mark.parametrize("last", [KEYED, replace(KEYED, idempotency_key="other")])
def test_callers_with_keys_and_without_share_the_latest_limit(first: Request, last: Request) -> None:
    """Whoever began, and by whichever key the one with the most time came, the first one's included."""
    clock = VirtualClock()

    async def main() -> tuple[KeyedCache, list[Caller]]:
        house = KeyedCache(clock)
        callers = [house.asks(first, within=0.5)]
        await settled()
        callers.append(house.asks(KEYED, within=1.0))
        await settled()
        assert house.ends_in == pytest.approx(1.0)
        callers.append(house.asks(last, within=4.0))
        await settled()
        assert house.ends_in == pytest.approx(4.0)
        house.work.say("hel")
        await clock.sleep(3.0)
        house.work.say("lo")
        house.work.end()
        return house, [await caller.ends() for caller in callers]

    house, (*short, long) = virtual_time.run(clock, main())

    assert [type(caller.error) for caller in short] == [DeadlineExceeded] * 2
    assert (long.error, long.text, long.outcome.cache) == (None, "hello", CacheStatus.COALESCED)
    assert (len(house.work.calls), house.work.cancels) == (1, 0)


def test_a_twin_without_a_key_keeps_the_work_alive_for_those_with_one() -> None:
    """Nobody under the key waits any more, its flight is over, and who comes back under it joins the twin's work."""
    clock = VirtualClock()

    async def main() -> tuple[KeyedCache, list[Caller]]:
        house = KeyedCache(clock)
        lost = house.asks(KEYED, within=4.0, method=STREAM)
        await settled()
        twin = house.asks(within=4.0, method=STREAM)
        house.work.say("hel")
        await settled()
        await lost.cancels()
        await clock.sleep(1.5)
        back = house.asks(KEYED, within=4.0, method=STREAM)
        await settled()
        house.work.say("lo")
        house.work.end()
        return house, [await twin.ends(), await back.ends()]

    house, callers = virtual_time.run(clock, main())

    assert [(caller.error, caller.text) for caller in callers] == [(None, "hello")] * 2
    assert len(house.work.calls) == 1
