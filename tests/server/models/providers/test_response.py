"""One response as it arrives, and the body that is read of it."""

import pytest

from penstockd.models.providers.response import Response
from penstockd.models.providers.wire import Exchange
from penstockd.upstream import Broken


class Nowhere:
    """Where nothing more comes from."""

    def resume(self) -> None:
        pass

    def abort(self) -> None:
        pass


@pytest.fixture
def response() -> Response:
    """One that was begun."""
    return Response(Nowhere())


async def test_a_body_is_all_that_arrived(response: Response) -> None:
    """In however many pieces; the mark that some put before JSON is none of it."""
    for piece in (b"\xef\xbb\xbf{", b"}"):
        response.add(piece)
    response.is_ended = True

    assert await Exchange(response).body() == b"{}"


async def test_a_body_may_be_empty(response: Response) -> None:
    """And is not waited for."""
    response.is_ended = True

    assert await Exchange(response).body() == b""


async def test_a_body_that_failed_is_none_even_where_it_has_ended(response: Response) -> None:
    """A connection whose end is the response's may end after what arrived was found to be broken."""
    response.add(b"{}")
    response.fail(Broken("no HTTP", reason="malformed"))
    response.is_ended = True

    with pytest.raises(Broken):
        await Exchange(response).body()
