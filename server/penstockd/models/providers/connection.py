"""One connection that speaks HTTP/1.1."""

import asyncio
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from penstockd.models.providers.response import Response
from penstockd.outcome import Attempt
from penstockd.upstream import Broken

MAX_FIELDS = 256
"""Header fields that may come with one response, its trailer and interim responses included."""
MAX_OVERHEAD = 64 << 10
"""Bytes that may come in a row without any of a body: of a head, of a trailer, of what stands around chunks."""
MAX_UNREAD = 64 << 10
"""Bytes of a body that may wait for their reader before no more are received."""


class Unanswered(Broken):
    """The other side closed the connection, as one closes what is not in use, before the first byte of a response."""

    reason = "connection_reset"


class Keeper(Protocol):
    """Whom a connection belongs to."""

    def opened(self, connection: "Connection") -> None:
        """Know of a connection from now on."""

    def freed(self, connection: "Connection") -> None:
        """Keep a connection that can carry another exchange."""

    def lost(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""


class Connection(asyncio.Protocol):
    """Carries one request and its response at a time; what is not HTTP/1.1, or was not asked for, ends it."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._response = Response(self)
        self._response.is_ended = True  # none is expected yet
        self._is_heard = False
        self._is_paused = False
        self._is_reusable = False
        self._fields = 0
        self._overhead = 0
        self._parser = HttpResponseParser(self)
        # Some servers send these, and they can be meant in one way only.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)

    @property
    def is_open(self) -> bool:
        """Whether it can carry a request, as far as is known."""
        return not self._transport.is_closing()

    async def exchange(self, request: bytes, attempt: Attempt) -> Response:
        """Send `request` and return the response once its head is there; cancelled, close at once.

        Notes on `attempt` that it was sent. Raises Unanswered, or Broken if what came is no head.
        """
        if self._transport.is_closing():
            raise Unanswered("the connection was closed before the request was sent")
        self._response = response = Response(self)
        self._is_heard = False
        self._fields = self._overhead = 0
        self._transport.write(request)
        attempt.is_unsent = False
        try:
            while not response.status:
                await response.news()
        except BaseException:
            # Not abort: all of it may have arrived with its head, and the connection be another exchange's by now.
            response.cut()
            raise
        return response

    def close(self) -> None:
        """Close, while nothing is expected."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is expected."""
        self._break(Broken("the connection was closed", reason="connection_reset"))

    def resume(self) -> None:
        """Receive again, if too much waited for its reader."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._keeper.opened(self)

    def data_received(self, data: bytes) -> None:
        """Hand on what has come, and wake its reader once, however much it is."""
        self._is_heard = True
        self._overhead += len(data)
        response = self._response
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._break(Broken(f"the response is no HTTP: {error}", reason="malformed"))
            return
        if response.is_ended:
            self._free()
        elif self._overhead > MAX_OVERHEAD:
            self._break(Broken("the response has too long a head, or too much around its body", reason="malformed"))
        elif response.unread > MAX_UNREAD and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        response.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the response, whole or not, and be forgotten."""
        response = self._response
        if not response.is_ended:
            response.is_ended = exc is None and _ends_with_its_connection(response)
            response.fail(self._loss(exc))
        self._keeper.lost(self)

    def on_message_begin(self) -> None:
        """Refuse what was not asked for."""
        if self._response.is_ended:
            raise ValueError("a response without a request")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; those of a trailer are dropped."""
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise ValueError("too many header fields")
        response = self._response
        if not response.status:
            headers, name = response.headers, name.lower()
            headers[name] = b"%b, %b" % (headers[name], value) if name in headers else value

    def on_headers_complete(self) -> None:
        """Start the response, unless this head is an interim one's (RFC 9110, 15.2)."""
        status = self._parser.get_status_code()
        if status < 100:
            raise ValueError("a status that is none")
        if status < 200:
            self._response.headers.clear()
        else:
            self._response.status = status

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self._overhead = 0
        self._response.add(piece)

    def on_message_complete(self) -> None:
        """End the response, unless it is an interim one."""
        if self._response.status:
            self._response.is_ended = True
            self._is_reusable = self._parser.should_keep_alive()

    def _free(self) -> None:
        self.resume()
        if self._is_reusable and not self._transport.is_closing():
            self._keeper.freed(self)
        else:
            self._transport.close()

    def _break(self, failure: Broken) -> None:
        self._response.fail(failure)
        self._transport.abort()

    def _loss(self, error: Exception | None) -> Broken:
        # A reset came from somebody who had our request: only after a FIN, or in reply to our write, was it not read.
        if not self._is_heard and (error is None or isinstance(error, BrokenPipeError)):
            return Unanswered("the connection was closed before its response")
        if not self._response.status:
            return Broken("the connection was lost before its response", reason="connection_reset")
        return Broken("the connection was lost in the middle of its response", reason="truncated")


def _ends_with_its_connection(response: Response) -> bool:
    """Whether nothing else says where the body ends (RFC 9112, 6.3)."""
    return bool(response.status) and not response.headers.keys() & {b"content-length", b"transfer-encoding"}
