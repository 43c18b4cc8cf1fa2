"""Connections carry one exchange after another while that is safe, and are bounded in all they take."""

import asyncio
import itertools
from collections.abc import Iterable

import pytest

from fakes.asking import Heard, ask, failed, model_call, prompt
from fakes.providers import OPENAI, Provide
from fakes.upstream import CLOSE, LAST_CHUNK, RESET, STREAM_HEAD, Step, Upstream, Wait, chunk, head, response, stream
from penstockd.call import Reply
from penstockd.models.providers import connections, wire
from penstockd.models.providers.chat import Chat
from penstockd.upstream import UpstreamFailure

ANSWER = OPENAI.answer("a")
WHOLE = response(ANSWER)


async def used_once(upstream: Upstream, provide: Provide) -> Chat:
    """A provider that has a connection in reserve."""
    upstream.answer(WHOLE)
    provider = provide(OPENAI)
    await ask(provider)
    return provider


async def test_a_connection_that_closed_while_idle_is_not_used(upstream: Upstream, provide: Provide) -> None:
    """What a server closed between two calls costs neither of them anything."""
    upstream.answer(WHOLE, CLOSE)
    upstream.answer(WHOLE)
    provider = provide(OPENAI)

    await ask(provider)
    await upstream.abandoned()
    await ask(provider)

    assert (upstream.calls, len(upstream.connections)) == (2, 2)


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every close for one that crossed, however long it took us to see it."""
    monkeypatch.setattr(connections, "CROSSING", 30.0)


@pytest.mark.usefixtures("slow_machine")
async def test_a_close_that_crosses_with_a_request_is_no_failure(upstream: Upstream, provide: Provide) -> None:
    """An idle connection that closes without a word when it is used is replaced, and asked again."""
    provider = await used_once(upstream, provide)
    upstream.answer(CLOSE)
    upstream.answer(WHOLE)

    assert (await ask(provider)).text == "a"

    assert (upstream.calls, len(upstream.connections)) == (3, 2)
    assert upstream.requests[1].body == upstream.requests[2].body


@pytest.mark.usefixtures("slow_machine")
async def test_it_is_asked_again_only_once(upstream: Upstream, provide: Provide) -> None:
    """A server that closes new connections too is broken."""
    provider = await used_once(upstream, provide)
    upstream.answer_always(CLOSE)

    assert (await failed(provider)).reason == "connection_reset"

    assert upstream.calls == 3


@pytest.mark.parametrize(
    "steps",
    [(RESET,), (b"HTTP/1.1 2", CLOSE), (b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE)],
    ids=["reset", "in the head", "after an interim response"],
)
@pytest.mark.usefixtures("slow_machine")
async def test_what_may_have_been_billed_is_not_asked_again(
    upstream: Upstream, provide: Provide, steps: tuple[Step, ...]
) -> None:
    """Whatever else ends a used connection is a failure of the model, for the retry loop to see."""
    provider = await used_once(upstream, provide)
    upstream.answer(*steps)

    assert (await failed(provider)).reason == "connection_reset"

    assert upstream.calls == 2


async def test_a_close_that_comes_late_is_not_asked_again(
    upstream: Upstream, provide: Provide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the request had been read."""
    monkeypatch.setattr(connections, "CROSSING", 0.05)
    provider = await used_once(upstream, provide)
    upstream.answer(Wait(0.2), CLOSE)

    assert (await failed(provider)).reason == "connection_reset"

    assert upstream.calls == 2


async def test_the_connection_used_last_is_used_first(upstream: Upstream, provide: Provide) -> None:
    """So that the others may become old, and close."""
    upstream.answer(WHOLE)
    upstream.answer(Wait(0.05), response(OPENAI.answer("later")))
    upstream.answer(WHOLE, CLOSE)
    provider = provide(OPENAI)
    await asyncio.gather(ask(provider), ask(provider))
    earlier, later = sorted(upstream.connections, key=lambda connection: connection.sent)

    await ask(provider)

    async with asyncio.timeout(1.0):
        await later.gone.wait()
    assert not earlier.gone.is_set()


async def test_idle_connections_close_after_a_while(
    upstream: Upstream, provide: Provide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each goes when its own time is up."""
    monkeypatch.setattr(connections, "KEPT", 0.1)
    upstream.answer(WHOLE)
    upstream.answer(Wait(0.05), WHOLE)
    provider = provide(OPENAI)

    await asyncio.gather(ask(provider), ask(provider))

    first = await upstream.abandoned(connection=0)
    second = await upstream.abandoned(connection=1)
    assert abs(second - first) > 0.03


@pytest.mark.parametrize(
    "answer",
    [
        response(ANSWER, connection="close"),
        WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        WHOLE + b"\x00",
        WHOLE + WHOLE,
    ],
    ids=["close", "HTTP/1.0", "bytes too many", "two answers"],
)
async def test_such_a_connection_is_not_used_again(upstream: Upstream, provide: Provide, answer: bytes) -> None:
    """One that is to be closed, and one on which nobody knows where the next answer begins."""
    upstream.answer(answer)
    upstream.answer(WHOLE)
    provider = provide(OPENAI)

    assert (await ask(provider)).text == "a"
    await upstream.abandoned(connection=0)
    assert (await ask(provider)).text == "a"
    assert len(upstream.connections) == 2


async def test_what_comes_unasked_closes_an_idle_connection(upstream: Upstream, provide: Provide) -> None:
    """An answer to nothing is not taken for the answer to the next request."""
    gate = asyncio.Event()
    upstream.answer(WHOLE, gate, response(OPENAI.answer("stale")))
    upstream.answer(WHOLE)
    provider = provide(OPENAI)
    await ask(provider)

    gate.set()
    await upstream.abandoned()

    assert (await ask(provider)).text == "a"


@pytest.mark.parametrize(
    "steps",
    [
        (head(content_type="application/json") + ANSWER, CLOSE),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + WHOLE,),
        (head(transfer_encoding="chunked"), b"%x ;x=y\r\n%b\r\n0\r\nx-sum: 1\r\n\r\n" % (len(ANSWER), ANSWER)),
        (WHOLE.replace(b"\r\n", b"\n"),),
        (response(ANSWER, upgrade="h2c", connection="upgrade"),),
        (response(ANSWER, content_encoding="identity", x="1\r\nx: 2\r\nempty:"),),
    ],
    ids=["until it closes", "interim", "trailer", "bare line feeds", "an upgrade is offered", "fields twice"],
)
async def test_forms_that_an_answer_may_have(upstream: Upstream, provide: Provide, steps: tuple[Step, ...]) -> None:
    """What RFC 9112 allows is understood, and one sloppiness besides."""
    upstream.answer(*steps)

    assert (await ask(provide(OPENAI))).text == "a"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((head(101, upgrade="x", connection="upgrade"),), "malformed"),
        ((head(transfer_encoding="chunked", content_length="2") + b"{}",), "malformed"),
        ((head(content_length="2\r\ncontent-length: 3") + b"{}",), "malformed"),
        ((response(ANSWER, content_encoding="identity\r\ncontent-encoding: gzip"),), "malformed"),
        ((response(ANSWER, content_encoding="gzip\r\ncontent-encoding: identity"),), "malformed"),
        ((response(ANSWER, content_encoding="gzip").replace(b"content-e", b"Content-E"),), "malformed"),
        ((head(transfer_encoding="gzip") + ANSWER, CLOSE), "truncated"),
        ((head() + b"{", Wait(0.02), RESET), "truncated"),
        ((head(204),), "malformed"),
        ((WHOLE.replace(b"\r\n", b"\r\n" + b"x: y\r\n" * 300, 1),), "malformed"),
    ],
)
async def test_forms_that_no_answer_has(
    upstream: Upstream, provide: Provide, steps: tuple[Step, ...], reason: str
) -> None:
    """What contradicts itself, or was not asked for, is a broken upstream."""
    upstream.answer(*steps)

    assert (await failed(provide(OPENAI))).reason == reason


@pytest.mark.parametrize(
    "endless",
    [
        itertools.chain([b"HTTP/1.1 200 OK\r\nx: "], itertools.repeat(b"y" * 1000)),
        itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        itertools.chain([head(transfer_encoding="chunked"), b"1;"], itertools.repeat(b"x" * 1000)),
        itertools.chain([head(transfer_encoding="chunked"), b"0\r\nx: "], itertools.repeat(b"y" * 1000)),
        itertools.chain([head(transfer_encoding="chunked"), b"0\r\n"], itertools.repeat(b"x: y\r\n")),
    ],
    ids=["a field", "interim responses", "a chunk extension", "a field of a trailer", "fields of a trailer"],
)
async def test_all_that_is_no_body_is_bounded(upstream: Upstream, provide: Provide, endless: Iterable[Step]) -> None:
    """An upstream that never gets to the point is left."""
    upstream.play(endless)

    assert (await failed(provide(OPENAI))).reason == "malformed"
    await upstream.abandoned()
    assert upstream.connections[0].sent < 4 << 20


async def test_a_reader_that_stops_stops_its_upstream(upstream: Upstream, provide: Provide) -> None:
    """What nobody reads is not received, and goes on once it is read."""
    going_on = asyncio.Event()
    noise = chunk(b": " + b"x" * 100_000 + b"\n\n")
    events = OPENAI.events(("a", "b"))
    script = [STREAM_HEAD, *map(chunk, events[:-3]), *[noise] * 600, *map(chunk, events[-3:]), LAST_CHUNK]
    upstream.answer(*script)
    heard = Heard()

    async def slow(reply: Reply) -> None:
        await heard.take(reply)
        await going_on.wait()

    asking = asyncio.ensure_future(provide(OPENAI)(model_call(prompt(streams=True), slow)))
    await heard.started.wait()
    await asyncio.sleep(0.1)
    stopped_at = upstream.connections[0].sent
    await asyncio.sleep(0.1)

    assert upstream.connections[0].sent == stopped_at < 600 * len(noise)
    going_on.set()
    await asking
    assert heard.text == "ab"


async def test_closing_ends_what_is_under_way(upstream: Upstream, provide: Provide) -> None:
    """A provider that is closed lets nobody wait, and keeps no connection."""
    upstream.answer(head(content_length="99"), b"{")
    provider = provide(OPENAI)
    asking = asyncio.ensure_future(ask(provider))
    await upstream.received()
    await asyncio.sleep(0.02)

    await provider.close()

    with pytest.raises(UpstreamFailure):
        await asking
    await upstream.abandoned()


async def test_after_closing_no_connection_is_kept(upstream: Upstream, provide: Provide) -> None:
    """A call that comes late is answered, and leaves nothing open."""
    provider = await used_once(upstream, provide)
    upstream.answer(WHOLE)
    await provider.close()

    assert (await ask(provider)).text == "a"

    await upstream.abandoned(connection=1)


async def test_a_stream_that_ends_late_does_not_disturb_the_next_call(
    upstream: Upstream, provide: Provide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment that a response is given to end is its own, and not its connection's."""
    monkeypatch.setattr(wire, "TAIL_PATIENCE", 0.05)
    *most, end = stream(*OPENAI.events(("a",)))
    upstream.answer(*most, Wait(0.01), end)
    upstream.answer(Wait(0.1), WHOLE)
    provider = provide(OPENAI)

    await ask(provider, streams=True)
    await upstream.played(0)
    await asyncio.sleep(0.01)

    assert (await ask(provider)).text == "a"
    assert len(upstream.connections) == 1
