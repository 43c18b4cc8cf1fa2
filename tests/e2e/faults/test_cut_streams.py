"""A stream may be cut anywhere: what is not whole is never taken for whole."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fakes.faults import PIECES, TEXT
from fakes.providers import KINDS, Kind
from fakes.stage import NEVER_OPENS, Seen, Stage, model, stage
from fakes.upstream import LAST_CHUNK, STREAM_HEAD, Received, Script, Upstream, chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = 16


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def daemon(sick: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A daemon that asks once and never gives a model up."""
    models = {kind.name: model(sick.url, kind) for kind in KINDS}
    directory = tmp_path_factory.mktemp("cut")
    once = {"max_attempts": 1}
    async with stage(directory, models, {"default": list(models)}, retry=once, circuit_breaker=NEVER_OPENS) as served:
        yield served


def recorded(kind: Kind) -> bytes:
    """A stream as it once came; the last line feed ends its last event."""
    return b"".join(kind.events(PIECES, kind.usage))


def cut(kind: Kind, request: Received) -> Script:
    """As many bytes of the recorded stream as the caller's text says, in a response that is itself well ended."""
    body = request.json
    assert isinstance(body, dict)
    said = recorded(kind)[: int(body["messages"][-1]["content"])]
    return (STREAM_HEAD, *([chunk(said)] if said else []), LAST_CHUNK)


async def cut_at(daemon: Stage, kind: Kind, offset: int, turn: asyncio.Semaphore) -> Seen:
    """Ask for a stream that is cut after `offset` bytes."""
    async with turn:
        return await daemon.ask(f"model/{kind.name}", str(offset), streams=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_stream_cut_at_any_byte_is_an_error_and_only_the_whole_one_is_an_answer(
    daemon: Stage, sick: Upstream, kind: Kind
) -> None:
    """Text that arrived is the caller's, as a beginning; without any, the model has failed."""
    sick.respond(lambda request: cut(kind, request))
    calls = sick.calls
    whole = len(recorded(kind))
    turn = asyncio.Semaphore(AT_ONCE)

    *cuts, last = await asyncio.gather(*(cut_at(daemon, kind, offset, turn) for offset in range(whole + 1)))

    assert sick.calls == calls + whole + 1
    assert last.text == TEXT, last.error
    assert all(TEXT.startswith(seen.text) for seen in cuts)
    assert {seen.ending for seen in cuts if seen.text} == {"STREAM_BROKEN"}
    assert {seen.ending for seen in cuts if not seen.text} == {"MODELS_UNAVAILABLE"}
    assert {seen.text for seen in cuts} >= {"", TEXT}
