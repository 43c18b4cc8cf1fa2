"""A connection whose exchanges follow one another without a pause."""

import asyncio
import errno
from typing import cast

import pytest

from fakes.providers import OPENAI
from fakes.upstream import response
from penstockd.models.providers.connection import Connection, Unanswered
from penstockd.outcome import Attempt
from penstockd.upstream import UNBILLED, Broken

WHOLE = response(OPENAI.answer("a"))


class Transport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self._is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self._is_closed

    def abort(self) -> None:
        self._is_closed = True

    close = abort


class Keeper:
    """Remembers what is free."""

    def __init__(self) -> None:
        self.free: list[Connection] = []

    def opened(self, connection: Connection) -> None:
        pass

    def freed(self, connection: Connection) -> None:
        self.free.append(connection)

    def lost(self, connection: Connection) -> None:
        pass


async def test_a_caller_who_leaves_late_does_not_disturb_the_next_exchange() -> None:
    """Its response is there and its connection another's, though it has not been told yet."""
    keeper, transport = Keeper(), Transport()
    connection = Connection(keeper)
    connection.connection_made(cast("asyncio.Transport", transport))
    leaving = asyncio.ensure_future(connection.exchange(b"one", Attempt(model="a", started_at=0.0)))
    await asyncio.sleep(0)
    connection.data_received(WHOLE)
    assert keeper.free == [connection]
    next_one = asyncio.ensure_future(connection.exchange(b"two", Attempt(model="a", started_at=0.0)))

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.sleep(0)

    assert transport.written == [b"one", b"two"]
    assert not transport.is_closing()
    connection.data_received(WHOLE)
    assert (await next_one).status == 200


async def test_a_caller_who_leaves_early_closes_its_connection() -> None:
    """Nobody else's it is."""
    transport = Transport()
    connection = Connection(Keeper())
    connection.connection_made(cast("asyncio.Transport", transport))
    leaving = asyncio.ensure_future(connection.exchange(b"one", Attempt(model="a", started_at=0.0)))
    await asyncio.sleep(0)

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    assert transport.is_closing()


async def test_a_connection_that_is_lost_before_its_first_exchange_sends_nothing() -> None:
    """And the attempt still knows that."""
    transport, attempt = Transport(), Attempt(model="a", started_at=0.0, is_unsent=True)
    connection = Connection(Keeper())
    connection.connection_made(cast("asyncio.Transport", transport))
    transport.abort()

    with pytest.raises(Unanswered):
        await connection.exchange(b"one", attempt)

    assert (transport.written, attempt.is_unsent) == ([], True)


async def test_a_connection_given_up_for_want_of_acknowledgements_may_have_carried_its_request() -> None:
    """The attempt failed and may be repeated, but not as if it had never been: it may be billed."""
    attempt = Attempt(model="a", started_at=0.0, is_unsent=True)
    connection = Connection(Keeper())
    connection.connection_made(cast("asyncio.Transport", Transport()))
    asking = asyncio.ensure_future(connection.exchange(b"one", attempt))
    await asyncio.sleep(0)

    connection.connection_lost(TimeoutError(errno.ETIMEDOUT, "timed out"))

    with pytest.raises(Broken) as failure:
        await asking
    assert not isinstance(failure.value, Unanswered)
    assert (failure.value.reason, failure.value.may_repeat) == ("connection_reset", True)
    assert failure.value.reason not in UNBILLED
    assert not attempt.is_unsent
