"""Repeats are answered once, by a real daemon before a real upstream."""

import asyncio
import random
import signal
from collections.abc import Mapping, Sequence

import aiohttp
import pytest
from grpc import StatusCode

from fakes import answers
from fakes.models import openai
from fakes.rpc import PROCESS, STREAM, Ended, wire
from fakes.upstream import HANG, LAST_CHUNK, STREAM_HEAD, Step, Upstream, chunk, response
from peers.live_daemon import PROGRAMS, Daemons, Penstockd, run
from penstock import AgentClient, InvalidRequest, PermissionDenied
from penstock.v1.agent_service_pb2 import (
    CACHE_STATUS_BYPASSED,
    CACHE_STATUS_COALESCED,
    CACHE_STATUS_HIT,
    CACHE_STATUS_MISS,
    ProcessRequest,
    ProcessResponse,
    ProcessStreamResponse,
)
from penstockd.api_key import digest, generate
from penstockd.usage import Usage

CACHED: Mapping[str, object] = {"enabled": True}
PRICE = {"input": 1, "output": 2}
USED = Usage(uncached_input=10, output=5)
COST = (10 * 1 + 5 * 2) * 1000
HELLO = ProcessRequest(input="hello")
AT_ONCE = 0.2


def streaming(*gates: asyncio.Event) -> Sequence[Step]:
    """A streamed answer that waits before its second word, and before its end."""
    first, *rest = answers.openai_events(["Once", " upon"], USED)[1:]
    return [STREAM_HEAD, chunk(first), *gates[:1], chunk(rest[0]), *gates[1:], *map(chunk, rest[1:]), LAST_CHUNK]


def whole(*gates: asyncio.Event) -> Sequence[Step]:
    """The same in one piece, as a unary call gets it."""
    return [*gates, response(answers.openai_answer("Once upon", USED))]


def as_asked(upstream: Upstream, *gates: asyncio.Event) -> None:
    """Answer each call in the way it asks for."""
    upstream.respond(lambda received: streaming(*gates) if b'"stream":true' in received.body else whole(*gates))


def read(ended: Ended, path: str) -> tuple[str, ProcessResponse]:
    """The text of an answer, and the account of it."""
    assert ended.code is StatusCode.OK, ended
    if path == PROCESS:
        answer = ended.response(ProcessResponse)
        return answer.output, answer
    events = [ProcessStreamResponse.FromString(message) for message in ended.messages]
    return "".join(event.delta.text for event in events), events[-1].completed.response


async def spent(daemon: Penstockd) -> tuple[int, int]:
    """Calls that were charged, and what for."""
    async with AgentClient(daemon.target) as client:
        total = (await client.get_usage()).total
    return total.requests, total.cost_nanousd


async def metric(daemon: Penstockd, name: str) -> float:
    """One number of /metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{daemon.admin}/metrics") as answer:
        [line] = [line for line in (await answer.text()).splitlines() if line.startswith(f"penstock_cache_{name} ")]
    return float(line.split()[1])


async def joined(daemon: Penstockd, count: int) -> None:
    """Return once so many calls have joined another."""
    async with asyncio.timeout(20):
        while await metric(daemon, "joins_total") < count:
            pass  # asking takes a moment in itself


@pytest.mark.parametrize("first", [PROCESS, STREAM])
async def test_500_identical_calls_at_once_are_one_call_upstream(
    first: str, daemons: Daemons, upstream: Upstream
) -> None:
    """Unary and streams mixed, half of them late: all get the whole answer, and it is charged once."""
    gate, end = asyncio.Event(), asyncio.Event()
    as_asked(upstream, gate, end)
    daemon = await daemons.start(models={"fast": openai(upstream, price=PRICE)}, cache=CACHED)
    paths = [first, *[PROCESS, STREAM] * 250][:500]

    async with wire(daemon.target) as caller:
        calls = [asyncio.create_task(caller.ask(path, HELLO)) for path in paths[:250]]
        await joined(daemon, 249)
        gate.set()
        calls += [asyncio.create_task(caller.ask(path, HELLO)) for path in paths[250:]]
        await joined(daemon, 499)
        end.set()
        seen = [read(ended, path) for ended, path in zip(await asyncio.gather(*calls), paths, strict=True)]

    assert upstream.calls == 1
    assert {text for text, _ in seen} == {"Once upon"}
    accounts = [account for _, account in seen]
    assert sorted(account.cache_status for account in accounts) == [CACHE_STATUS_MISS, *[CACHE_STATUS_COALESCED] * 499]
    assert sorted(account.cost_nanousd for account in accounts) == [*[0] * 499, COST]
    assert sum(account.usage.total_tokens for account in accounts) == USED.total
    assert await spent(daemon) == (1, COST)


async def test_whoever_cancels_there_is_one_call_upstream_until_all_have(daemons: Daemons, upstream: Upstream) -> None:
    """The leader first, then most of the others; the rest hear all of it. When all go, so does the upstream call."""
    gate, draw = asyncio.Event(), random.Random(5)
    as_asked(upstream, gate)
    daemon = await daemons.start(models={"fast": openai(upstream, price=PRICE)}, cache=CACHED)

    async with wire(daemon.target) as caller:
        leader = asyncio.create_task(caller.ask(STREAM, HELLO))
        await upstream.received()
        calls = [(path, asyncio.create_task(caller.ask(path, HELLO))) for path in [PROCESS, STREAM] * 100]
        await joined(daemon, 200)
        leader.cancel()
        draw.shuffle(calls)
        for _, call in calls[20:]:
            call.cancel()
        await daemon.line("call finished", code="CANCELLED", count=181)
        gate.set()
        seen = [read(await call, path) for path, call in calls[:20]]
        assert (upstream.calls, {text for text, _ in seen}) == (1, {"Once upon"})
        assert await spent(daemon) == (1, COST)

        upstream.answer_always(HANG)
        leaving = [asyncio.create_task(caller.ask(STREAM, ProcessRequest(input="other"))) for _ in range(50)]
        await joined(daemon, 249)
        loop = asyncio.get_running_loop()
        for call in leaving:
            call.cancel()
        left_at = loop.time()
        assert await upstream.abandoned() - left_at < AT_ONCE
    assert upstream.calls == 2


async def test_a_hot_key_that_expires_is_asked_for_once(daemons: Daemons, upstream: Upstream) -> None:
    """500 callers ask all the time, while it expires."""
    as_asked(upstream)
    ttl = 2.0
    daemon = await daemons.start(models={"fast": openai(upstream)}, cache={"enabled": True, "ttl": f"{ttl}s"})
    loop = asyncio.get_running_loop()

    async with wire(daemon.target) as caller:
        began_at = loop.time()
        assert (await caller.ask(PROCESS, HELLO)).code is StatusCode.OK
        ends_at = loop.time() + 2.5

        async def asks(number: int) -> None:
            while loop.time() < ends_at:
                await asyncio.sleep(0.4 * (number % 7) / 7)
                path = STREAM if number % 2 else PROCESS
                assert read(await caller.ask(path, HELLO), path)[0] == "Once upon"

        await asyncio.gather(*(asks(number) for number in range(500)))

    assert upstream.calls <= 1 + (loop.time() - began_at) / (0.9 * ttl)


async def test_the_later_deadline_keeps_the_call_alive(daemons: Daemons, upstream: Upstream) -> None:
    """Who came with the shorter one leaves alone, be it the first or the second, and before the first word."""
    gate = asyncio.Event()
    as_asked(upstream, gate)
    daemon = await daemons.start(models={"fast": openai(upstream)}, cache=CACHED)

    async with wire(daemon.target) as caller:
        short = asyncio.create_task(caller.ask(PROCESS, HELLO, timeout=2.5))
        await upstream.received()
        patient = asyncio.create_task(caller.ask(PROCESS, HELLO, timeout=20.0))
        shorter = asyncio.create_task(caller.ask(STREAM, HELLO, timeout=2.5))
        assert [(await each).code for each in (short, shorter)] == [StatusCode.DEADLINE_EXCEEDED] * 2
        gate.set()
        text, account = read(await patient, PROCESS)

    assert (text, account.cache_status, upstream.calls) == ("Once upon", CACHE_STATUS_COALESCED, 1)


async def test_a_kept_answer_is_permitted_like_any_other(daemons: Daemons, upstream: Upstream) -> None:
    """A key that may not use the agent gets nothing from the cache; nor does another tenant."""
    as_asked(upstream)
    allowed, forbidden, stranger = generate(), generate(), generate()
    pepper = "pepper"

    def keys(name: str, text: str, **more: object) -> dict[str, object]:
        return {"name": name, "hash": digest(pepper, text), **more}

    daemon = await daemons.start(
        environ={"PENSTOCK_KEY_PEPPER": pepper},
        models={"fast": openai(upstream)},
        agents={"support": {}, "other": {}},
        default_agent="support",
        tenants={
            "acme": {"keys": [keys("a", allowed), keys("b", forbidden, agents=["other"])]},
            "else": {"keys": [keys("c", stranger)]},
        },
        cache=CACHED,
    )

    async def asks(key: str) -> ProcessResponse:
        async with AgentClient(daemon.target, api_key=key) as client:
            return await client.process("hello")

    assert (await asks(allowed)).cache_status == CACHE_STATUS_MISS
    with pytest.raises(PermissionDenied):
        await asks(forbidden)
    assert (await asks(stranger)).cache_status == CACHE_STATUS_MISS
    assert (await asks(allowed)).cache_status == CACHE_STATUS_HIT
    assert upstream.calls == 2


async def test_what_is_kept_and_counted_outlives_a_reload(daemons: Daemons, upstream: Upstream) -> None:
    """What defines the answer anew asks anew, less room is kept at once, and off is off: no lookup, no joining."""
    as_asked(upstream)
    models = {"fast": openai(upstream)}
    daemon = await daemons.start(models=models, cache=CACHED)

    async def reloaded(**sections: object) -> None:
        seen = len(daemon.logged("the configuration was reloaded"))
        daemons.configure(models=models, **sections)
        daemon.signal(signal.SIGHUP)
        await daemon.line("the configuration was reloaded", count=seen + 1)

    async with AgentClient(daemon.target) as client:

        async def status(text: str = "hello") -> int:
            return (await client.process(text)).cache_status

        assert [await status(), await status()] == [CACHE_STATUS_MISS, CACHE_STATUS_HIT]
        await reloaded(cache={"enabled": True, "ttl": "10m"})
        assert await status() == CACHE_STATUS_HIT
        await reloaded(cache=CACHED, agents={"default": {"instructions": "Be brief."}})
        assert [await status(), await status()] == [CACHE_STATUS_MISS, CACHE_STATUS_HIT]
        await reloaded(cache=CACHED, agents={"default": {"cache": "off"}})
        assert await status() == CACHE_STATUS_BYPASSED
        await reloaded(cache={"enabled": True, "max_entries": 1})
        assert await metric(daemon, "entries") == 1
        await reloaded(cache={"enabled": False})
        assert await metric(daemon, "entries") == 0
        gate, before = asyncio.Event(), upstream.calls
        as_asked(upstream, gate)
        both = [asyncio.create_task(status()) for _ in range(2)]
        await upstream.received(before + 2)
        gate.set()
        assert await asyncio.gather(*both) == [CACHE_STATUS_BYPASSED] * 2


async def test_an_idempotency_key_joins_and_replays_over_reconnects(daemons: Daemons, upstream: Upstream) -> None:
    """With the cache off too; another request under it is refused."""
    gate = asyncio.Event()
    as_asked(upstream, gate)
    daemon = await daemons.start(models={"fast": openai(upstream, price=PRICE)})

    async with AgentClient(daemon.target) as lost:
        call = asyncio.create_task(lost.process("hello", idempotency_key="k"))
        await upstream.received()
        call.cancel()
    await daemon.line("call finished", code="CANCELLED")
    async with AgentClient(daemon.target) as client:
        back = asyncio.create_task(client.process("hello", idempotency_key="k"))
        await joined_keyed(daemon)
        gate.set()
        assert ((await back).output, (await back).cache_status) == ("Once upon", CACHE_STATUS_COALESCED)
    async with AgentClient(daemon.target) as client:
        stream = client.stream("hello", idempotency_key="k", cache="off")
        assert "".join([text async for text in stream]) == "Once upon"
        assert (stream.response.cache_status, stream.response.cost_nanousd) == (CACHE_STATUS_HIT, 0)
        with pytest.raises(InvalidRequest):
            await client.process("other", idempotency_key="k")

    assert upstream.calls == 1
    assert await spent(daemon) == (1, COST)


async def test_who_comes_back_under_its_key_with_more_time_gets_the_answer_it_paid_for(
    daemons: Daemons, upstream: Upstream
) -> None:
    """It comes when the first deadline has passed; it is asked for once and charged once, behind the cache too."""
    gate = asyncio.Event()
    as_asked(upstream, gate)
    daemon = await daemons.start(models={"fast": openai(upstream, price=PRICE)}, cache=CACHED)
    keyed = ProcessRequest(input="hello", idempotency_key="k")
    loop = asyncio.get_running_loop()

    async with wire(daemon.target) as lost:
        began = loop.time()
        call = lost.start(PROCESS, keyed.SerializeToString(), timeout=3.0)
        await upstream.received()
        call.cancel()
        await daemon.line("call finished", code="CANCELLED")
    async with wire(daemon.target) as caller:
        back = asyncio.create_task(caller.ask(PROCESS, keyed, timeout=20.0))
        await asyncio.sleep(began + 3.5 - loop.time())
        gate.set()
        text, account = read(await back, PROCESS)

    assert (text, account.cache_status, upstream.calls) == ("Once upon", CACHE_STATUS_COALESCED, 1)
    assert await spent(daemon) == (1, COST)


async def test_a_hanging_model_is_asked_once_by_those_who_share_a_deadline(
    daemons: Daemons, upstream: Upstream
) -> None:
    """Nobody asks it again in the moment that is left when their time is up."""
    upstream.answer_always(HANG)
    daemon = await daemons.start(models={"fast": openai(upstream, price=PRICE)}, cache=CACHED)

    async with wire(daemon.target) as caller:
        ends = await asyncio.gather(*(caller.ask(PROCESS, HELLO, timeout=2.0) for _ in range(5)))

    assert {ended.code for ended in ends} == {StatusCode.DEADLINE_EXCEEDED}
    assert upstream.calls == 1


async def joined_keyed(daemon: Penstockd) -> None:
    """Give a call that is on its way the time to arrive."""
    async with AgentClient(daemon.target) as client:
        for _ in range(3):
            await client.list_models()


async def test_a_keyed_call_that_nobody_waits_for_does_not_hold_up_the_end(
    daemons: Daemons, upstream: Upstream
) -> None:
    """It is cut, and what it used is on the ledger."""
    upstream.answer_always(HANG)
    daemon = await daemons.start(models={"fast": openai(upstream, price=PRICE)})
    async with AgentClient(daemon.target) as lost:
        call = asyncio.create_task(lost.process("hello", idempotency_key="k"))
        await upstream.received()
        call.cancel()
        await daemon.line("call finished", code="CANCELLED")

    assert await daemon.stop() == 0
    await upstream.abandoned()


async def test_operators_purge_the_cache(daemons: Daemons, upstream: Upstream) -> None:
    """By the command, of a tenant and an agent or of all; others are refused."""
    as_asked(upstream)
    operator, caller = generate(), generate()
    keys = [
        {"name": "op", "hash": digest("pepper", operator), "role": "operator"},
        {"name": "web", "hash": digest("pepper", caller)},
    ]
    daemon = await daemons.start(
        environ={"PENSTOCK_KEY_PEPPER": "pepper"},
        models={"fast": openai(upstream)},
        agents={"support": {}, "other": {}},
        default_agent="support",
        tenants={"acme": {"keys": keys}},
        cache=CACHED,
    )

    async def purge(key: str, *arguments: str) -> tuple[int, str, str]:
        environ = {"PENSTOCK_TARGET": daemon.target, "PENSTOCK_API_KEY": key}
        return await run(PROGRAMS / "penstock", "cache", "purge", *arguments, environ=environ)

    async with AgentClient(daemon.target, api_key=caller) as client:
        for agent, text in (("support", "a"), ("support", "b"), ("other", "a")):
            await client.process(text, agent=agent)
        code, _, err = await purge(caller)
        assert (code, "PERMISSION_DENIED" in err) == (1, True)
        assert await purge(operator, "--tenant", "acme", "--agent", "support") == (0, "2 answers forgotten\n", "")
        assert (await client.process("a", agent="support")).cache_status == CACHE_STATUS_MISS
        assert (await client.process("a", agent="other")).cache_status == CACHE_STATUS_HIT
        assert await purge(operator, "--json") == (0, '{"entries": "2"}\n', "")
    assert await metric(daemon, "entries") == 0


async def test_the_cache_shows_its_numbers(daemons: Daemons) -> None:
    """Entries, bytes, hits, misses, joins and evictions; one line in the log says how each call was served."""
    daemon = await daemons.start(cache={"enabled": True, "max_entries": 2})
    async with AgentClient(daemon.target) as client:
        for text in ("a", "b", "c", "c"):
            await client.process(text)

    names = ("entries", "size_bytes", "hits_total", "misses_total", "joins_total", "evictions_total")
    entries, size, hits, misses, joins, evictions = [await metric(daemon, name) for name in names]
    assert (entries, hits, misses, joins, evictions) == (2, 1, 3, 0, 1)
    assert 1000 < size < 3000
    await daemon.line("call finished", cache="miss", agent="default", count=3)
    await daemon.line("call finished", cache="hit", agent="default", tenant="default")
