"""Operators forget stored answers."""

import pytest

from fakes.caching import answer, answers
from fakes.calls import a_call
from fakes.clock import FakeClock
from penstock.v1.cache_service_pb2 import PurgeRequest, PurgeResponse
from penstockd.call import Reply
from penstockd.errors import PenstockError, PermissionDenied, Unauthenticated
from penstockd.outcome import Outcome
from penstockd.principal import KeyRole, Principal
from penstockd.services.cache import CacheService

KEYS = ["acme:a:1:0", "acme:b:1:0", "other:a:1:0"]


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        (PurgeRequest(), []),
        (PurgeRequest(tenant="acme"), KEYS[2:]),
        (PurgeRequest(agent="a"), KEYS[1:2]),
        (PurgeRequest(tenant="acme", agent="a"), KEYS[1:]),
    ],
)
async def test_an_operator_forgets_what_it_names(request_: PurgeRequest, left: list[str]) -> None:
    """And is told how much that was."""
    store, sent = answers(FakeClock()), list[Reply]()
    for key in KEYS:
        await store.put(key, answer(), 60.0)

    async def send(reply: Reply) -> None:
        sent.append(reply)

    operator = Outcome(principal=Principal(tenant="acme", role=KeyRole.OPERATOR))
    await CacheService(store).purge(a_call(request_, send=send, outcome=operator))

    assert sent == [PurgeResponse(entries=len(KEYS) - len(left))]
    assert [key for key in KEYS if await store.get(key)] == left


@pytest.mark.parametrize(
    ("principal", "error"), [(None, Unauthenticated), (Principal(tenant="acme"), PermissionDenied)]
)
async def test_nobody_else_does(principal: Principal | None, error: type[PenstockError]) -> None:
    """Nothing is forgotten."""
    store = answers(FakeClock())
    await store.put(KEYS[0], answer(), 60.0)

    with pytest.raises(error):
        await CacheService(store).purge(a_call(PurgeRequest(), outcome=Outcome(principal=principal)))

    assert await store.get(KEYS[0])
