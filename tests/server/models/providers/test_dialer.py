"""Every way to an upstream works, says where it ended, and is left at once."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakes.asking import ask, failed
from fakes.certificates import self_signed
from fakes.connect_proxy import ConnectProxy
from fakes.lookups import HeldLookup, at, threads
from fakes.providers import OPENAI, Provide
from fakes.upstream import CLOSE, Upstream, response
from peers import peer
from penstockd.models.providers import dialer
from penstockd.models.providers.connection import Connection
from penstockd.models.providers.connections import Connections
from penstockd.models.providers.dialer import Dialer
from penstockd.models.providers.origin import Origin
from penstockd.models.providers.resolver import Addresses
from penstockd.outcome import Attempt
from penstockd.upstream import TimedOut

WHOLE = response(OPENAI.answer("a"))


class Secure:
    """An upstream over TLS, and who vouches for it."""

    def __init__(self, upstream: Upstream, tls: ssl.SSLContext, ca: Path) -> None:
        self.upstream = upstream
        self.tls = tls
        self.ca = str(ca)
        self.url = upstream.url.replace("127.0.0.1", "localhost")


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Secure]:
    """An upstream over TLS that would rather speak HTTP/2."""
    cert, key = self_signed(peer("openssl"), tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    async with Upstream(tls=tls) as upstream:
        yield Secure(upstream, tls, cert)


async def test_tls_says_whom_it_wants_and_what_it_speaks(secure: Secure, provide: Provide) -> None:
    """The name is in the handshake, and HTTP/1.1 is what is agreed on."""
    names: list[str | None] = []
    secure.tls.sni_callback = lambda _socket, name, _context: names.append(name)
    secure.upstream.answer(WHOLE)

    assert (await ask(provide(OPENAI, base_url=secure.url, ca=secure.ca))).text == "a"

    assert names == ["localhost"]
    assert secure.upstream.connections[0].alpn == "http/1.1"


async def test_a_certificate_of_another_name_is_not_believed(secure: Secure, provide: Provide) -> None:
    """A trusted authority alone does not make the right host."""
    url = secure.url.replace("localhost", "127.0.0.2")

    assert (await failed(provide(OPENAI, base_url=url, ca=secure.ca))).reason in ("tls_failed", "connect_failed")

    assert secure.upstream.calls == 0


@pytest.mark.parametrize(
    ("credentials", "expected"), [("", None), ("u%40x:p%3Aw@", "Basic dUB4OnA6dw=="), ("u@", "Basic dTo=")]
)
async def test_a_proxy_opens_a_tunnel_for_tls(
    secure: Secure, provide: Provide, credentials: str, expected: str | None
) -> None:
    """The proxy learns the host and its credentials; the upstream learns neither those nor of the proxy."""
    secure.upstream.answer_always(WHOLE)
    async with ConnectProxy(secure.upstream.port) as proxy:
        provider = provide(
            OPENAI, base_url="https://localhost", ca=secure.ca, proxy=f"http://{credentials}{proxy.authority}"
        )

        assert [(await ask(provider)).text, (await ask(provider)).text] == ["a", "a"]

        (head,) = proxy.heads
        first, *fields = head.split("\r\n")
        assert first == "CONNECT localhost:443 HTTP/1.1"
        assert "host: localhost:443" in fields
        assert (f"proxy-authorization: {expected}" in fields) == (expected is not None)
        assert "authorization: Bearer key" not in fields
    assert secure.upstream.requests[0].path == "/chat/completions"
    assert "proxy-authorization" not in secure.upstream.requests[0].headers


async def test_a_proxy_may_itself_speak_tls(secure: Secure, provide: Provide) -> None:
    """TLS through TLS, and plain HTTP through it."""
    secure.upstream.answer(WHOLE)
    async with ConnectProxy(secure.upstream.port, tls=secure.tls) as proxy:
        url = f"https://{proxy.authority}"
        assert (await ask(provide(OPENAI, base_url="https://localhost", ca=secure.ca, proxy=url))).text == "a"

    secure.upstream.answer(WHOLE)
    await ask(provide(OPENAI, base_url="http://llm.internal", ca=secure.ca, proxy=secure.url))
    assert secure.upstream.requests[1].path == "http://llm.internal/chat/completions"


async def test_a_proxy_of_plain_http_is_told_its_credentials(upstream: Upstream, provide: Provide) -> None:
    """They go with each request."""
    upstream.answer(WHOLE)

    await ask(provide(OPENAI, base_url="http://[::1]:8000/v1", proxy=upstream.url.replace("//", "//u:p@")))

    (request,) = upstream.requests
    assert request.path == "http://[::1]:8000/v1/chat/completions"
    assert request.headers["host"] == "[::1]:8000"
    assert request.headers["proxy-authorization"] == "Basic dTpw"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
        b"\r\n\r\n",
    ],
    ids=["407", "no HTTP", "endless", "nothing"],
)
async def test_a_proxy_that_gives_no_way_is_connect_failed(secure: Secure, provide: Provide, answer: bytes) -> None:
    """Nothing was asked of the upstream."""
    async with ConnectProxy(secure.upstream.port, answer=answer) as proxy:
        provider = provide(OPENAI, base_url="https://localhost", ca=secure.ca, proxy=f"http://{proxy.authority}")

        assert (await failed(provider)).reason in ("connect_failed", "tls_failed")

        await proxy.left.wait()
    assert secure.upstream.calls == 0


async def test_a_proxy_that_hangs_up_is_connect_failed(upstream: Upstream, provide: Provide) -> None:
    """Without a word, too."""
    upstream.greet(b"HTTP/1.1 ", CLOSE)
    provider = provide(OPENAI, base_url="https://localhost", proxy=upstream.url)

    assert (await failed(provider)).reason == "connect_failed"


async def test_a_proxy_that_says_nothing_is_connect_timeout(upstream: Upstream, provide: Provide) -> None:
    """Its answer is part of connecting."""
    failure = await failed(provide(OPENAI, base_url="https://localhost", proxy=upstream.url, connect_timeout=0.05))

    assert isinstance(failure, TimedOut)
    assert failure.reason == "connect_timeout"
    await upstream.abandoned()


async def test_a_handshake_without_an_answer_is_connect_timeout(upstream: Upstream, provide: Provide) -> None:
    """It is part of connecting, too."""
    failure = await failed(provide(OPENAI, base_url=upstream.url.replace("http:", "https:"), connect_timeout=0.05))

    assert failure.reason == "connect_timeout"
    await upstream.abandoned()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["CONNECT", "handshake"])
async def test_a_call_cancelled_on_its_way_through_a_proxy_leaves_nothing(
    upstream: Upstream, provide: Provide, answer: bytes
) -> None:
    """Before the proxy has answered, and in the handshake behind it."""
    async with ConnectProxy(upstream.port, answer=answer) as proxy:
        asking = asyncio.ensure_future(
            ask(provide(OPENAI, base_url="https://localhost", proxy=f"http://{proxy.authority}"))
        )
        await proxy.asked.wait()
        if answer:
            await upstream.connected()
        started = asyncio.get_running_loop().time()

        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        async with asyncio.timeout(1.0):
            await proxy.left.wait()
        assert asyncio.get_running_loop().time() - started < 0.2


async def test_tls_is_never_left_out(upstream: Upstream) -> None:
    """Without anybody to trust, a secure upstream is not spoken to in plain text."""
    keeper = Connections(Dialer(Origin.of(upstream.url.replace("http", "https")), proxy=None, trust=None, timeout=1.0))

    with pytest.raises(RuntimeError):
        await keeper.exchange(b"", Attempt(model="a", started_at=0.0))

    assert upstream.connections == []


class Dialled(Connection):
    """Is connected by a dialer, and belongs to nobody else."""

    @classmethod
    async def by(cls, dialer: Dialer) -> "Dialled":
        """What a dialer connects."""
        connection = cls(Connections(dialer))
        await dialer.dial(connection)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.socket: socket.socket = transport.get_extra_info("socket")


def dialer_to(found: Addresses, url: str = "http://llm.internal") -> Dialer:
    """A dialer to a host that is found there."""
    return Dialer(Origin.of(url), proxy=None, trust=None, timeout=1.0, look_up=lambda host, port: found)


async def test_a_host_whose_lookup_hangs_holds_up_no_other(upstream: Upstream) -> None:
    """Not even many, each asked again: they are connect_timeout in their time, and cost a thread each."""
    looks_up = HeldLookup(at())
    lost = [Origin.of(f"http://lost{number}.internal") for number in range(40)]
    dialers = [Dialer(each, proxy=None, trust=None, timeout=0.05, look_up=looks_up) for each in lost]
    for _ in range(2):
        told = await asyncio.gather(*map(Dialled.by, dialers), return_exceptions=True)
        assert {each.reason for each in told if isinstance(each, TimedOut)} == {"connect_timeout"}
        assert len(told) == 40

    async with asyncio.timeout(0.5):
        connection = await Dialled.by(dialer_to(at(upstream.port)))

    assert connection.is_open
    assert [len(threads(each)) for each in lost] == [1] * 40
    for each in lost:
        await looks_up.let_go(each)
    connection.abort()


async def test_a_dead_address_before_a_living_one_is_passed_over(upstream: Upstream, blackhole: str) -> None:
    """The time to connect is not spent on the first address alone."""
    dead = urlsplit(blackhole).port
    assert dead is not None

    connection = await Dialled.by(dialer_to(at(dead, upstream.port)))

    assert connection.socket.getpeername()[1] == upstream.port
    connection.abort()


async def test_a_call_cancelled_as_it_tries_addresses_leaves_nothing_open(blackhole: str) -> None:
    """Nothing waits for any of them; an open socket would be warned of, which fails."""
    dead = urlsplit(blackhole).port
    assert dead is not None
    dialing = asyncio.ensure_future(Dialled.by(dialer_to(at(dead, dead))))
    await asyncio.sleep(0.3)

    dialing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await dialing
    gc.collect()


@pytest.mark.parametrize("turns", range(4))
async def test_a_call_cancelled_as_one_address_answers_asks_nothing(
    upstream: Upstream, blackhole: str, turns: int
) -> None:
    """Not in any of the event loop's turns in which the other attempts are ended."""
    dead = urlsplit(blackhole).port
    assert dead is not None
    keeper = Connections(dialer_to(at(dead, upstream.port)))
    attempt = Attempt(model="a", started_at=0.0, is_unsent=True)
    others = asyncio.all_tasks()
    asking = asyncio.ensure_future(keeper.exchange(b"x", attempt))
    others.add(asking)
    while len(racing := asyncio.all_tasks() - others) < 2:  # noqa: ASYNC110 - both attempts to connect are another's
        await asyncio.sleep(0)
    await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
    for _ in range(turns):
        await asyncio.sleep(0)
    was_unsent = attempt.is_unsent

    asking.cancel()
    await asyncio.wait((asking,), timeout=0.2)

    assert asking.cancelled()
    assert attempt.is_unsent == was_unsent
    gc.collect()


async def test_a_race_that_outlasts_its_time_is_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though one address answers as the others are ended."""
    connected = socket.socket()

    async def swallow(*_: object, **__: object) -> socket.socket:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1.0)
        return connected

    monkeypatch.setattr(dialer, "start_connection", swallow)

    with pytest.raises(TimedOut):
        await Dialled.by(Dialer(Origin.of("http://127.0.0.1"), proxy=None, trust=None, timeout=0.01))

    assert connected.fileno() == -1


async def test_a_call_cancelled_just_as_it_is_connected_leaves_nothing(upstream: Upstream) -> None:
    """Its connection is closed, and known to nobody."""
    known: set[Connection] = set()

    class Cancelling(Connections):
        def opened(self, connection: Connection) -> None:
            known.add(connection)
            dialing.cancel()

        def lost(self, connection: Connection) -> None:
            known.discard(connection)

    keeper = Cancelling(dialer_to(at(upstream.port)))
    dialing = asyncio.ensure_future(keeper.exchange(b"", Attempt(model="a", started_at=0.0)))

    with pytest.raises(asyncio.CancelledError):
        await dialing

    await upstream.connected()
    await upstream.abandoned()
    assert not known


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone can be told")
async def test_a_connection_that_nothing_is_acknowledged_on_is_given_up(upstream: Upstream) -> None:
    """The system does so; what is sent is sent at once."""
    connection = await Dialled.by(dialer_to(at(upstream.port)))

    assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
    assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.abort()
