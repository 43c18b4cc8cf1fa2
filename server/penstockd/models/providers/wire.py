"""HTTP to one upstream: bounded, impatient about nothing but connecting, and honest about how it ended."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from penstockd.logs.redaction import Redaction
from penstockd.models.providers.connections import Connections
from penstockd.models.providers.dialer import Dialer
from penstockd.models.providers.origin import Origin, path_of
from penstockd.models.providers.proxy import Proxy
from penstockd.models.providers.response import Response
from penstockd.models.providers.trust import trust_in
from penstockd.outcome import Attempt
from penstockd.upstream import Broken, UpstreamFailure

MAX_BODY = 16 << 20
MAX_EXCERPT = 64 << 10
EXCERPT_PATIENCE = 1.0
"""Seconds an error's body may take; its status alone says enough."""
TAIL_PATIENCE = 1.0
"""Seconds a response may take to end after its last event, to keep its connection."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_LETS_IN = re.compile(r"auth|key|token|secret|cookie|pass|credential|session|signature", re.IGNORECASE)
"""What the names of headers have in them whose values let somebody in."""
_FRAMING = frozenset(("content-length", "transfer-encoding"))
_PAGE = b"text/html"
_BOM = b"\xef\xbb\xbf"
_BLANK = _BOM + b" \t\r\n"
"""What may stand before JSON or before events."""


class Target(Struct, frozen=True, kw_only=True):
    """Where an upstream is and how to get there; `ca` is a file of PEM certificates, `connect_timeout` in seconds."""

    base_url: str
    api_key: str = ""
    headers: Mapping[str, str] = {}
    ca: str | None = None
    proxy: str | None = None
    connect_timeout: float = 2.0

    def trust(self) -> ssl.SSLContext | None:
        """Whom to believe on the way there, the same until their file changes, or None where nobody speaks TLS.

        Raises OSError if the CA file cannot be read or has no certificates.
        """
        is_secure = any(Origin.of(url).is_secure for url in (self.base_url, self.proxy) if url)
        return trust_in(self.ca) if is_secure or self.ca else None


class Wire:
    """Posts JSON to one URL. It neither follows redirects, decompresses, keeps cookies, nor reads the environment."""

    def __init__(self, target: Target, *, path: str, headers: Mapping[str, str], trust: ssl.SSLContext | None) -> None:
        """`headers` are the dialect's, and the target's own come last and win; `trust` is the target's.

        `path` is afterwards all that is asked for at the host, without a query. Raises ValueError, which quotes no
        secret, for a URL or a header that cannot be sent.
        """
        self._target = target
        self._origin = Origin.of(target.base_url)
        self._proxy = Proxy.of(target.proxy) if target.proxy else None
        self.path = path_of(target.base_url.rstrip("/") + path)
        self._head = self._new_head(self.path, headers)
        self._redaction = Redaction()
        self._redaction.hide(_secrets(target, self._proxy))
        self._trust = trust
        dialer = Dialer(self._origin, proxy=self._proxy, trust=trust, timeout=target.connect_timeout)
        self._connections = Connections(dialer)

    @property
    def is_current(self) -> bool:
        """Whether those whom it trusts are still in the same file, or it trusts nobody; raises OSError as `trust`."""
        return self._target.trust() is self._trust

    def masked(self, text: str) -> str:
        """Return `text`, which an upstream may have written, without the secrets that it was sent."""
        return self._redaction(text)

    async def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def post(self, body: bytes, attempt: Attempt) -> Awaitable[Response]:
        """Send `body` and return the response once its headers are there, for an Exchange, which the caller closes.

        Until something of the request goes out, `attempt` is unsent.
        """
        attempt.is_unsent = True
        # Head and body in one write are one system call, and one packet if they are small.
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        return self._connections.exchange(request, attempt)

    def _new_head(self, path: str, headers: Mapping[str, str]) -> bytes:
        """All of a request's head that is the same for every one: it lacks the number of the body's bytes."""
        fields = {
            "host": self._origin.name,
            "content-type": "application/json",
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": "penstock",
        }
        if self._proxy is not None and not self._origin.is_secure:
            path = f"http://{self._origin.name}{path}"
            fields |= self._proxy.fields
        for name, value in (*headers.items(), *self._target.headers.items()):
            fields[name.lower()] = value
        for name, value in fields.items():
            if name in _FRAMING or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"the header {name!r} cannot be sent as it is")
        lines = [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "content-length: "]).encode()


class Exchange:
    """One response as it arrives. Closing it cuts the connection, unless all of it has been received."""

    __slots__ = ("_ahead", "_is_finished", "_read", "_response", "status")

    def __init__(self, response: Response) -> None:
        self._response = response
        self._ahead = b""
        self._is_finished = False
        self._read = 0
        self.status = response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """All of its headers, names in lower case."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self._response.headers.items()}

    @property
    def is_encoded(self) -> bool:
        """Whether the body is compressed, though we asked for it not to be."""
        encoding = self._response.headers.get(b"content-encoding")
        return encoding is not None and encoding.strip().lower() not in (b"", b"identity")

    async def is_whole(self) -> bool:
        """Whether the body comes in one piece, whatever was asked for: JSON, or a page that somebody put in between.

        Its beginning tells, not its type, which some servers mistake; it is waited for, without what is blank.
        """
        if self._content_type == _PAGE:
            return True
        blank = 0
        while not self._ahead:
            try:
                chunk = await self._response.read()
            except UpstreamFailure:
                # Whoever reads on meets it again, and tells then how much had arrived of an answer.
                return self._response.arrived.lstrip(_BLANK).startswith(b"{")
            if not chunk:
                break
            self._ahead = chunk.lstrip(_BLANK)
            blank += len(chunk)
            if not self._ahead and blank > MAX_BODY:
                raise Broken(f"the answer is longer than {MAX_BODY} bytes", reason="malformed")
        return self._ahead.startswith(b"{")

    async def read(self) -> bytes:
        """Return what has arrived since the last read, waiting for it; empty at the end."""
        ahead, self._ahead = self._ahead, b""
        return ahead or await self._response.read()

    @property
    def _content_type(self) -> bytes:
        content_type, _, _ = self._response.headers.get(b"content-type", b"").partition(b";")
        return content_type.strip().lower()

    @property
    def received(self) -> int:
        """How many bytes of the `body` have arrived; of a page that somebody put in between, none are an answer's."""
        return 0 if self._content_type == _PAGE else self._read + self._response.unread

    async def body(self) -> bytes:
        """Return the whole body; raise Broken if it is cut or too long."""
        response = self._response
        chunks = []
        is_there = False
        while not is_there:
            # As a rule all of it came with the head.
            is_there = response.is_whole and not self._ahead
            chunk = response.take() if is_there else await self.read()
            chunks.append(chunk)
            self._read += len(chunk)
            if self._read > MAX_BODY:
                raise Broken(f"the answer is longer than {MAX_BODY} bytes", reason="malformed")
        return b"".join(chunks).removeprefix(_BOM)

    async def excerpt(self) -> bytes:
        """Return as much of the body as is fit to explain an error: bounded in length and time, never failing."""
        body = bytearray()
        try:
            async with asyncio.timeout(EXCERPT_PATIENCE):
                while len(body) < MAX_EXCERPT and (chunk := await self.read()):
                    body += chunk
        except (UpstreamFailure, TimeoutError):
            pass
        return bytes(body[:MAX_EXCERPT])

    def finish(self) -> None:
        """Expect nothing more: give the response a moment to end by itself, so that its connection can serve again."""
        self._is_finished = True
        if not self._response.is_ended:
            asyncio.get_running_loop().call_later(TAIL_PATIENCE, self._response.cut)

    def close(self) -> None:
        """Cut the connection unless the response has ended or was finished."""
        if not self._is_finished:
            self._response.cut()


def _secrets(target: Target, proxy: Proxy | None) -> Iterator[str]:
    """What an upstream or a proxy is sent, and may say back; in lower case too, as labels are read."""
    password = urlsplit(target.proxy or "").password or ""
    # What other headers hold, such as a version, is no secret, and may be a word of any sentence.
    fields = (*target.headers.items(), *(proxy.fields.items() if proxy else ()))
    values = [value for name, value in fields if _LETS_IN.search(name)]
    credentials = (value.partition(" ")[2] for value in values)
    for secret in (target.api_key, password, unquote(password), *values, *credentials):
        yield secret
        yield secret.lower()
