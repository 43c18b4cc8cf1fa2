"""Every way to an upstream works, says where it ended, and is left at once."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.certificates import self_signed
from fakes.connect_proxy import ConnectProxy
from fakes.prompts import ask
from fakes.providers import OPENAI, Provide
from fakes.upstream import CLOSE, Upstream, response
from peers import peer
from penstockd.models.providers.chat import Chat
from penstockd.models.providers.connections import Connections
from penstockd.models.providers.dialer import Dialer
from penstockd.models.providers.origin import Origin
from penstockd.upstream import TimedOut, UpstreamFailure

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


async def failed(provider: Chat) -> UpstreamFailure:
    """Ask, and return the failure that must come of it."""
    with pytest.raises(UpstreamFailure) as failure:
        await ask(provider)
    return failure.value


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
        await keeper.exchange(b"", None)

    assert upstream.connections == []
