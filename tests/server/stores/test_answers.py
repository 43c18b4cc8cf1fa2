"""What every place for answers must do, in memory and in a real Redis."""

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fakes.caching import SECRET, answer, answers
from fakes.clock import FakeClock
from peers.redis import RedisServer, redis_server
from penstockd.outcome import FinishReason
from penstockd.stores.answers.bounded_memory import BoundedMemoryCache
from penstockd.stores.answers.redis_answers import PREFIX, RedisAnswers
from penstockd.stores.answers.seal import LONGEST, TAG_SIZE, Seal
from penstockd.stores.answers.stored_answers import StoredAnswers

KEY = "acme:support:1:0123"
OTHERS = "other:support:1:0123"


@dataclass(frozen=True)
class Bench:
    """A place, and the bytes in it as they lie there."""

    store: StoredAnswers
    raw: Callable[[str], bytes | None]
    write: Callable[[str, bytes], object]
    purge: Callable[..., Any]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One server for all tests here."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each place in turn, empty."""
    if request.param == "memory":
        memory = answers(FakeClock(), max_entries=2000)
        entries = memory.cache._entries  # noqa: SLF001 - what lies there

        def write(key: str, value: bytes) -> None:
            entries[key] = type(entries[key])(value, entries[key].expires_at)

        yield Bench(memory, lambda key: entries[key].value if key in entries else None, write, memory.purge)
        return
    server: RedisServer = request.getfixturevalue("redis")
    server.client.flushall()
    store = RedisAnswers(server.url, Seal(SECRET), random=lambda: 0.5)
    yield Bench(
        store,
        lambda key: server.client.get(f"{PREFIX}:{key}"),  # type: ignore[arg-type,return-value]  # it is a synchronous client
        lambda key, value: server.client.set(f"{PREFIX}:{key}", value),
        store.purge,
    )
    await store.close()


@pytest.mark.parametrize("text", ["hello", "", "ü" * 1000, "\0"])
@pytest.mark.parametrize("reason", list(FinishReason))
async def test_what_was_put_is_got(bench: Bench, text: str, reason: FinishReason) -> None:
    """Whole, also if it is empty; under another key there is nothing."""
    await bench.store.put(KEY, answer(text, reason), 60.0)

    assert await bench.store.get(KEY) == answer(text, reason)
    assert await bench.store.get(OTHERS) is None


async def test_a_later_answer_replaces_an_earlier_one(bench: Bench) -> None:
    """There is one a key."""
    await bench.store.put(KEY, answer("a"), 60.0)
    await bench.store.put(KEY, answer("b"), 60.0)

    assert await bench.store.get(KEY) == answer("b")


async def test_every_flipped_bit_is_a_miss_and_deletes_the_entry(bench: Bench) -> None:
    """Wherever it is."""
    await bench.store.put(KEY, answer(), 60.0)
    sound = bench.raw(KEY)
    assert sound
    for bit in range(len(sound) * 8):
        altered = bytearray(sound)
        altered[bit // 8] ^= 1 << bit % 8
        await bench.store.put(KEY, answer(), 60.0)
        bench.write(KEY, bytes(altered))

        assert await bench.store.get(KEY) is None, bit
        assert bench.raw(KEY) is None


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda sound: sound[:-1], id="cut"),
        pytest.param(lambda sound: sound[: 1 + TAG_SIZE], id="nothing but a tag"),
        pytest.param(lambda sound: sound[:5], id="cut in its tag"),
        pytest.param(lambda sound: b"", id="empty"),
        pytest.param(lambda sound: sound + b"\0", id="longer"),
        pytest.param(lambda sound: b"\x01" + sound[1:], id="an old version"),
        pytest.param(lambda sound: b"\x03" + sound[1:], id="a version to come"),
        pytest.param(lambda sound: b"\x80\x04K\x01.", id="a pickle"),
        pytest.param(lambda sound: sound[: 1 + TAG_SIZE] + bytes(LONGEST + 1), id="too long"),
        pytest.param(lambda sound: Seal(b"not our secret..").close(KEY, answer()), id="of another maker"),
        pytest.param(lambda sound: Seal(SECRET).close(OTHERS, answer()), id="another tenant's"),
    ],
)
async def test_what_is_none_of_ours_is_a_miss_and_deleted(bench: Bench, harm: Callable[[bytes], bytes]) -> None:
    """It is never served."""
    await bench.store.put(KEY, answer(), 60.0)
    sound = bench.raw(KEY)
    assert sound
    bench.write(KEY, harm(sound))

    assert await bench.store.get(KEY) is None
    assert bench.raw(KEY) is None


async def test_an_answer_too_long_is_not_kept(bench: Bench) -> None:
    """The one before it stays."""
    await bench.store.put(KEY, answer(), 60.0)
    await bench.store.put(KEY, answer("x" * (LONGEST + 1)), 60.0)

    assert await bench.store.get(KEY) == answer()


@pytest.mark.parametrize(
    ("tenant", "agent", "left"),
    [
        ("", "", []),
        ("a", "", ["b:x", "b:model/y"]),
        ("", "x", ["a:model/y", "b:model/y"]),
        ("b", "model/y", ["a:x", "a:model/y", "b:x"]),
        ("c", "", ["a:x", "a:model/y", "b:x", "b:model/y"]),
    ],
)
async def test_a_purge_forgets_what_it_names(bench: Bench, tenant: str, agent: str, left: list[str]) -> None:
    """And says how much that was."""
    owners = ["a:x", "a:model/y", "b:x", "b:model/y"]
    keys = [f"{owner}:1:{number}" for owner in owners for number in range(300)]
    for key in keys:
        await bench.store.put(key, answer(), 60.0)

    purged = await bench.purge(tenant=tenant, agent=agent)

    kept = [key for key in keys if await bench.store.get(key) is not None]
    assert kept == [key for key in keys if key.rsplit(":", 2)[0] in left]
    assert purged == len(keys) - len(kept)


async def test_redis_forgets_answers_when_their_time_is_over(redis: RedisServer) -> None:
    """By its own clock."""
    store = RedisAnswers(redis.url, Seal(SECRET), random=lambda: 0.5)
    await store.put(KEY, answer(), 250.0)

    left: Any = redis.client.pttl(f"{PREFIX}:{KEY}")
    await store.close()
    assert 249_000 < left <= 250_000


async def test_a_frozen_redis_is_a_miss_before_long(redis: RedisServer) -> None:
    """And so is one that is not there."""
    frozen = RedisAnswers(redis.url, Seal(SECRET), random=lambda: 0.5)
    gone = RedisAnswers("redis://127.0.0.1:1/0", Seal(SECRET), random=lambda: 0.5)
    await frozen.put(KEY, answer(), 60.0)
    started = time.monotonic()

    with redis.frozen():
        assert await frozen.get(KEY) is None
        await frozen.put(KEY, answer(), 60.0)
    assert await gone.get(KEY) is None
    await gone.put(KEY, answer(), 60.0)

    assert time.monotonic() - started < 2.0
    assert await frozen.get(KEY) == answer()
    await frozen.close()
    await gone.close()


class Failing(BoundedMemoryCache):
    """A cache of which nothing works."""

    def __init__(self, error: Exception) -> None:
        super().__init__(max_entries=1, max_bytes=1, clock=FakeClock())
        self._error = error

    async def _get(self, key: str, **_options: object) -> bytes | None:  # type: ignore[override]  # as its base
        raise self._error

    async def _set(self, key: str, value: bytes, ttl: float | None = None, **_options: object) -> bool:  # type: ignore[override]  # as its base
        raise self._error


@pytest.mark.parametrize("error", [OSError("gone"), TimeoutError(), ValueError("odd"), MemoryError()])
async def test_a_failing_backend_costs_a_miss_and_no_error(error: Exception) -> None:
    """Whatever it raises."""
    store = Unpurged(Failing(error), Seal(SECRET), random=random.random)

    await store.put(KEY, answer(), 60.0)

    assert await store.get(KEY) is None


class Unpurged(StoredAnswers):
    """Answers in any cache."""
