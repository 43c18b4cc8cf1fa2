"""The wire is bounded, follows nobody, says how it broke, and lets go at once."""

import asyncio
import itertools
import socket
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from fakes.asking import Heard, ask, failed, model_call, prompt
from fakes.certificates import self_signed
from fakes.providers import ANTHROPIC, OPENAI, Kind, Provide
from fakes.upstream import (
    CLOSE,
    HANG,
    RESET,
    STREAM_HEAD,
    Step,
    Upstream,
    Wait,
    chunk,
    head,
    response,
    stream,
)
from peers import peer
from penstockd.call import Reply
from penstockd.models.providers import wire
from penstockd.request import Role, Turn
from penstockd.upstream import CoolingDown, TimedOut

T = TypeVar("T")

PROMPTLY = 0.2
"""Seconds within which a cancelled call has closed its connection."""


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_nobody_listening_is_connect_failed(provide: Provide) -> None:
    """A refused connection is a broken upstream."""
    failure = await failed(provide(OPENAI, base_url=f"http://127.0.0.1:{free_port()}"))

    assert failure.reason == "connect_failed"


async def test_an_unknown_host_is_connect_failed(provide: Provide) -> None:
    """A name that does not resolve is a broken upstream."""
    assert (await failed(provide(OPENAI, base_url="http://nowhere.invalid"))).reason == "connect_failed"


async def test_a_host_that_does_not_answer_is_connect_timeout(blackhole: str, provide: Provide) -> None:
    """Connecting is given its own time."""
    failure = await failed(provide(OPENAI, base_url=blackhole, connect_timeout=0.05))

    assert isinstance(failure, TimedOut)
    assert failure.reason == "connect_timeout"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((RESET,), "connection_reset"),
        ((CLOSE,), "connection_reset"),
        ((b"HTTP/1.1 200 OK\r\ncontent-le", RESET), "connection_reset"),
        ((b"HTTP/1.1 200 OK\r\ncontent-le", CLOSE), "connection_reset"),
        ((head(content_length="9"), b"{", CLOSE), "truncated"),
        ((head(content_length="9"), b"{", Wait(0.02), RESET), "truncated"),
        ((head(transfer_encoding="chunked"), chunk(b"{"), CLOSE), "truncated"),
        ((head(), b"{", CLOSE), "malformed"),
        ((b"SSH-2.0-OpenSSH_9\r\n",), "malformed"),
        ((b"HTTP/1.1 099 Odd\r\n\r\n", HANG), "malformed"),
        ((b"HTTP/1.1 000 Odd\r\ncontent-length: 0\r\n\r\n", HANG), "malformed"),
        ((b"\x00\xff\x00\xff\r\n\r\n",), "malformed"),
        ((b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,), "malformed"),
    ],
)
async def test_how_a_response_broke(upstream: Upstream, provide: Provide, steps: tuple[Step, ...], reason: str) -> None:
    """Resets, early ends and what is no HTTP each have their reason."""
    upstream.answer(*steps)

    assert (await failed(provide(OPENAI))).reason == reason
    assert upstream.calls == 1


async def test_a_reset_before_the_request_was_read(upstream: Upstream, provide: Provide) -> None:
    """A connection that is reset as it is opened is a broken upstream."""
    upstream.greet(RESET)

    assert (await failed(provide(OPENAI))).reason in ("connection_reset", "connect_failed")
    assert upstream.calls == 0


async def test_endless_headers_are_malformed(upstream: Upstream, provide: Provide) -> None:
    """Headers are bounded in number."""
    upstream.play(itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"x: y\r\n")))

    assert (await failed(provide(OPENAI))).reason == "malformed"
    assert upstream.connections[0].sent < 10_000_000


@pytest.mark.parametrize("pause", [0.0, 0.02])
@pytest.mark.parametrize("bad", [b"zz\r\n{}\r\n", b"2\r\n{}xx2\r\n"])
async def test_bad_chunks_are_no_answer(upstream: Upstream, provide: Provide, bad: bytes, pause: float) -> None:
    """Chunks that contradict themselves end the answer, whether they come with the headers or later."""
    upstream.answer(head(transfer_encoding="chunked"), Wait(pause), bad)

    assert (await failed(provide(OPENAI))).reason in ("truncated", "malformed")


async def test_a_refusal_is_read_whatever_else_its_headers_say(upstream: Upstream, provide: Provide) -> None:
    """Bytes that are no UTF-8, and names and values in capitals, are no reason to miss when to come back."""
    body = b'{"error": {"code": "slow_down"}}'
    upstream.answer(response(body, 429, x_note="\xff\xfe", Retry_After="7", Content_Encoding=" Identity "))

    failure = await failed(provide(OPENAI))

    assert isinstance(failure, CoolingDown)
    assert failure.retry_after == 7.0
    assert "slow_down" in str(failure)


async def test_redirects_are_not_followed(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A key goes where the config says and nowhere else."""
    upstream.answer(response(b"", 307, location=f"{upstream.url}/elsewhere"))

    assert (await failed(provide(kind))).reason == "redirect"
    assert upstream.calls == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_a_compressed_answer_is_refused_unread(upstream: Upstream, provide: Provide, *, streams: bool) -> None:
    """We ask for no compression, and open no bomb."""
    bomb = zlib.compress(b" " * 100_000_000, wbits=31)
    upstream.answer(response(bomb, content_encoding="gzip"))
    upstream.answer(response(bomb, 500, content_encoding="gzip"))
    provider = provide(OPENAI)

    assert (await failed(provider, streams=streams)).reason == "malformed"
    assert (await failed(provider, streams=streams)).reason == "server_error"
    assert upstream.requests[0].headers["accept-encoding"] == "identity"


async def test_an_endless_answer_is_cut(upstream: Upstream, provide: Provide) -> None:
    """A unary body is bounded, and what comes after the bound is not even received."""
    endless = itertools.repeat(chunk(b" " * 100_000))
    upstream.play(itertools.chain([head(transfer_encoding="chunked")], endless))

    assert (await failed(provide(OPENAI))).reason == "malformed"
    await upstream.abandoned()
    assert upstream.connections[0].sent < 2 * wire.MAX_BODY


async def test_an_endless_error_is_cut(upstream: Upstream, provide: Provide) -> None:
    """Of an error's body no more than an excerpt is read."""
    endless = itertools.repeat(chunk(b" " * 100_000))
    upstream.play(itertools.chain([head(500, transfer_encoding="chunked")], endless))

    assert (await failed(provide(OPENAI))).reason == "server_error"
    await upstream.abandoned()
    assert upstream.connections[0].sent < 100 * wire.MAX_EXCERPT


@pytest.mark.parametrize("rest", [(HANG,), (b"{", RESET), (CLOSE,)])
async def test_an_error_without_its_body_is_still_that_error(
    upstream: Upstream, provide: Provide, rest: tuple[Step, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status says enough if the body does not come."""
    monkeypatch.setattr(wire, "EXCERPT_PATIENCE", 0.05)
    upstream.answer(head(429, content_length="99", retry_after="7"), *rest)

    failure = await failed(provide(OPENAI))

    assert isinstance(failure, CoolingDown)
    assert failure.retry_after == 7.0


async def test_headers_of_the_config_come_last(kind: Kind, upstream: Upstream, provide: Provide) -> None:
    """A model's own headers are sent, and win over ours."""
    upstream.answer(response(kind.answer("a")))

    await ask(provide(kind, headers={"X-Team": "search", "User-Agent": "mine"}))

    (request,) = upstream.requests
    assert request.headers["x-team"] == "search"
    assert request.headers["user-agent"] == "mine"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "header",
    [
        {"x-team": "hunter2\r\nx: y"},
        {"x-team": "hunter2\n"},
        {"x-team": "hunter2\x00"},
        {"x: y": "hunter2"},
        {"": "hunter2"},
        {"Content-Length": "2"},
        {"Transfer-Encoding": "chunked"},
    ],
)
def test_a_header_that_would_change_the_request_is_refused(header: dict[str, str], provide: Provide) -> None:
    """No value can become a header of its own, nor move the request's end; the refusal does not quote it."""
    with pytest.raises(ValueError, match="cannot be sent") as refusal:
        provide(OPENAI, headers=header)

    assert "hunter2" not in str(refusal.value)


async def test_a_request_names_its_host(upstream: Upstream, provide: Provide) -> None:
    """The host and the port as in the URL, unless a header of the config says otherwise."""
    upstream.answer_always(response(OPENAI.answer("a")))

    await ask(provide(OPENAI))
    await ask(provide(OPENAI, headers={"Host": "llm.internal"}))

    assert [request.headers["host"] for request in upstream.requests] == [f"127.0.0.1:{upstream.port}", "llm.internal"]


async def test_cookies_are_not_kept(upstream: Upstream, provide: Provide) -> None:
    """One tenant's call leaves nothing for the next."""
    upstream.answer_always(response(OPENAI.answer("a"), set_cookie="who=acme; Path=/"))
    provider = provide(OPENAI, base_url=upstream.url.replace("127.0.0.1", "localhost"))

    await ask(provider)
    await ask(provider)

    assert "cookie" not in upstream.requests[1].headers


async def test_a_large_request_arrives_whole(upstream: Upstream, provide: Provide) -> None:
    """An input of megabytes is sent without a complaint."""
    upstream.answer(response(OPENAI.answer("a")))

    await ask(provide(OPENAI), Turn(Role.USER, "x" * 3_000_000))

    assert len(upstream.requests[0].body) > 3_000_000


async def test_a_proxy_is_used(upstream: Upstream, provide: Provide) -> None:
    """With a proxy, the upstream's address is asked of it."""
    upstream.answer(response(OPENAI.answer("a")))

    await ask(provide(OPENAI, base_url="http://llm.internal/v1", proxy=upstream.url))

    assert upstream.requests[0].path == "http://llm.internal/v1/chat/completions"


async def test_the_environment_names_no_proxy(
    upstream: Upstream, provide: Provide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the config says where calls go."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    upstream.answer(response(OPENAI.answer("a")))

    assert (await ask(provide(OPENAI))).text == "a"


@asynccontextmanager
async def over_tls(directory: Path) -> AsyncIterator[tuple[Upstream, Path]]:
    """An upstream with a certificate that is its own authority, and that certificate."""
    cert, key = self_signed(peer("openssl"), directory)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    async with Upstream(tls=tls) as upstream:
        yield upstream, cert


async def test_a_ca_of_ones_own_is_trusted(tmp_path: Path, provide: Provide) -> None:
    """With its CA an upstream over TLS answers; without, it is not believed."""
    async with over_tls(tmp_path) as (upstream, ca):
        upstream.answer_always(response(OPENAI.answer("a")))

        assert (await ask(provide(OPENAI, base_url=upstream.url, ca=str(ca)))).text == "a"
        assert (await failed(provide(OPENAI, base_url=upstream.url))).reason == "tls_failed"
        assert upstream.calls == 1


async def test_plaintext_where_tls_was_expected_is_tls_failed(upstream: Upstream, provide: Provide) -> None:
    """A server that does not speak TLS is a broken upstream."""
    upstream.greet(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    failure = await failed(provide(OPENAI, base_url=upstream.url.replace("http:", "https:")))

    assert failure.reason == "tls_failed"


@pytest.fixture(params=[None, "no certificate\n"], ids=["not there", "without certificates"])
def bad_ca(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path of a file of certificates that is none."""
    file = tmp_path / "ca.pem"
    if request.param:
        file.write_text(request.param)
    return str(file)


async def test_a_bad_ca_is_said_at_the_start(bad_ca: str, provide: Provide) -> None:
    """Before there is a call."""
    with pytest.raises(OSError, match=r"certificate|No such file"):
        provide(OPENAI, ca=bad_ca)


async def test_only_who_speaks_tls_minds_another_file_of_certificates(
    tmp_path: Path, provide: Provide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's changes with every update of it, which is nothing to a server in plaintext."""
    plain, secure = (provide(OPENAI, base_url=f"{scheme}://llm.internal") for scheme in ("http", "https"))
    assert plain.is_current
    assert secure.is_current

    file = tmp_path / "system.pem"
    file.write_text("newer")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    assert plain.is_current
    assert not secure.is_current


@pytest.mark.parametrize("streams", [False, True])
async def test_a_connection_is_used_again(kind: Kind, upstream: Upstream, provide: Provide, *, streams: bool) -> None:
    """What was read to its end leaves its connection for the next call, even if a stream's end comes a little late."""
    *most, end = stream(*kind.events(("a",))) if streams else (response(kind.answer("a")), b"")
    upstream.answer_always(*most, Wait(0.02), end)
    provider = provide(kind)

    for call in range(3):
        await ask(provider, streams=streams)
        await upstream.played(call)
        await asyncio.sleep(0.01)

    assert upstream.calls == 3
    assert len(upstream.connections) == 1


async def test_a_stream_that_does_not_end_after_its_last_event_is_cut(
    kind: Kind, upstream: Upstream, provide: Provide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is whole and given at once; the connection is not waited for for ever."""
    monkeypatch.setattr(wire, "TAIL_PATIENCE", 0.02)
    upstream.answer(STREAM_HEAD, *(chunk(event) for event in kind.events(("a",))), HANG)

    assert (await ask(provide(kind), streams=True)).completed is not None

    await upstream.abandoned()


async def test_a_call_cancelled_while_connecting_ends_at_once(blackhole: str, provide: Provide) -> None:
    """Nothing waits for a host that does not answer, and nothing was sent."""
    heard = Heard()
    asking = asyncio.ensure_future(ask(provide(OPENAI, base_url=blackhole), heard=heard))
    await asyncio.sleep(0.02)

    assert await seconds_to_cancel(asking) < PROMPTLY
    assert heard.attempt.is_unsent


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_call_cancelled_in_the_handshake_closes_its_connection(
    upstream: Upstream, provide: Provide, *, proxied: bool
) -> None:
    """A TLS handshake that hangs is left, and so is a proxy that gives no way; nothing was sent."""
    url, heard = upstream.url.replace("http:", "https:"), Heard()
    provider = provide(OPENAI, base_url=url, proxy=upstream.url) if proxied else provide(OPENAI, base_url=url)
    asking = asyncio.ensure_future(ask(provider, heard=heard))
    await (upstream.received() if proxied else upstream.connected())

    await closes_promptly(upstream, asking)

    assert heard.attempt.is_unsent


PHASES: dict[str, tuple[bool, tuple[Step, ...]]] = {
    "before headers": (False, (HANG,)),
    "in the headers": (False, (b"HTTP/1.1 200 OK\r\n", HANG)),
    "in a body": (False, (head(content_length="99"), b"{", HANG)),
    "in an error": (False, (head(500, content_length="99"), HANG)),
    "before the first event": (True, (STREAM_HEAD, HANG)),
}


@pytest.mark.parametrize(("streams", "steps"), PHASES.values(), ids=PHASES.keys())
async def test_a_cancelled_call_closes_its_connection(
    kind: Kind, upstream: Upstream, provide: Provide, *, streams: bool, steps: tuple[Step, ...]
) -> None:
    """Whatever is being waited for, a cancellation reaches the upstream's socket at once."""
    upstream.answer(*steps)
    heard = Heard()
    asking = asyncio.ensure_future(ask(provide(kind), streams=streams, heard=heard))
    await upstream.received()
    await asyncio.sleep(0.02)

    await closes_promptly(upstream, asking)

    assert not heard.attempt.is_unsent


async def test_a_call_cancelled_mid_stream_closes_its_connection(
    kind: Kind, upstream: Upstream, provide: Provide
) -> None:
    """The same between two tokens, and what was used until then is known."""
    upstream.answer(STREAM_HEAD, *(chunk(event) for event in kind.events(("a",), kind.usage)[:4]), HANG)
    heard = Heard()
    asking = asyncio.ensure_future(ask(provide(kind), streams=True, heard=heard))
    await heard.started.wait()

    await closes_promptly(upstream, asking)

    assert heard.attempt.usage.input == (kind.usage.input if kind is ANTHROPIC else 0)


@pytest.mark.parametrize("events", [slice(0, 4), slice(None)], ids=["mid-stream", "after the last event"])
async def test_a_call_cancelled_while_its_reader_blocks_closes_its_connection(
    kind: Kind, upstream: Upstream, provide: Provide, events: slice
) -> None:
    """A reader that has stopped reading does not hold the upstream."""
    upstream.answer(STREAM_HEAD + chunk(b"".join(kind.events(("a",))[events])), HANG)
    blocked = asyncio.Event()

    async def block(_: Reply) -> None:
        blocked.set()
        await asyncio.Event().wait()

    asking = asyncio.ensure_future(provide(kind)(model_call(prompt(streams=True), block)))
    await blocked.wait()

    await closes_promptly(upstream, asking)


async def closes_promptly(upstream: Upstream, asking: asyncio.Future[T]) -> None:
    """Cancel, and hold the connection's end against the clock."""
    started = asyncio.get_running_loop().time()
    assert await seconds_to_cancel(asking) < PROMPTLY
    assert await upstream.abandoned() - started < PROMPTLY


async def seconds_to_cancel(asking: asyncio.Future[T]) -> float:
    """Cancel, and return how long it took to end as cancelled."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    return loop.time() - started
