"""The memory that answers take is bounded, whatever is put there."""

import asyncio
import gc
import os
import random
from itertools import pairwise

import psutil
import pytest

from fakes.caching import answer, answers
from fakes.clock import FakeClock
from penstockd.stores.answers.bounded_memory import OVERHEAD, SWEPT, BoundedMemoryCache

SOAK = os.environ.get("PENSTOCK_SOAK") == "1"
INSERTS = 1_000_000 if SOAK else 100_000


def cache(clock: FakeClock | None = None, *, max_entries: int = 1000, max_bytes: int = 2**20) -> BoundedMemoryCache:
    """A cache on a clock that a test moves."""
    return BoundedMemoryCache(max_entries=max_entries, max_bytes=max_bytes, clock=clock or FakeClock())


async def test_the_least_recently_used_goes_first() -> None:
    """To be read is to be used."""
    it = cache(max_entries=3)
    for key in "abc":
        await it.set(key, b"v", ttl=60)
    await it.get("a")
    await it.set("d", b"v", ttl=60)

    assert [key for key in "abcd" if await it.get(key) is not None] == ["a", "c", "d"]
    assert (len(it), it.evictions) == (3, 1)


async def test_bytes_are_bounded_with_all_that_an_entry_takes() -> None:
    """What alone is more than all may take is not kept, and nothing goes for it."""
    it = cache(max_bytes=3 * (OVERHEAD + 101))
    for key in "abcd":
        await it.set(key, bytes(100), ttl=60)
    await it.set("e", bytes(10_000), ttl=60)

    assert [key for key in "abcde" if await it.get(key) is not None] == ["b", "c", "d"]
    assert it.bytes == 3 * (OVERHEAD + 101)


async def test_a_replaced_a_deleted_and_a_cleared_entry_give_back_their_bytes() -> None:
    """The count never drifts."""
    it = cache()
    await it.set("a", bytes(100), ttl=60)
    await it.set("a", bytes(10), ttl=60)
    await it.set("b", bytes(10), ttl=60)
    assert it.bytes == 2 * (OVERHEAD + 11)
    assert await it.delete("a") == 1
    assert await it.delete("a") == 0
    assert it.bytes == OVERHEAD + 11

    await it.clear()

    assert repr(it) == "<BoundedMemoryCache 0/1000 entries, 0/1048576 bytes>"


async def test_new_bounds_are_kept_at_once() -> None:
    """A reload that asks for less gets it."""
    it = cache()
    for key in "abc":
        await it.set(key, b"v", ttl=60)

    it.limit(max_entries=1, max_bytes=2**20)

    assert (len(it), await it.get("c")) == (1, b"v")
    it.limit(max_entries=0, max_bytes=2**20)
    await it.set("d", b"v", ttl=60)
    assert (len(it), it.bytes) == (0, 0)


async def test_what_is_over_is_gone_when_it_is_asked_for() -> None:
    """Without a ttl it is never over."""
    clock = FakeClock()
    it = cache(clock)
    await it.set("a", b"v", ttl=10.0)
    await it.set("b", b"v")
    clock.advance(10.0)

    assert (await it.get("a"), await it.get("b"), len(it)) == (None, b"v", 1)


async def test_sweeps_find_what_is_over_wherever_it_is() -> None:
    """A few of them, each looking at no more than a part."""
    clock = FakeClock()
    it = cache(clock, max_entries=10_000, max_bytes=2**30)
    for number in range(5000):
        await it.set(str(number), b"v", ttl=10.0 if number % 2 else 1000.0)
    clock.advance(11.0)

    for _ in range(5000 // SWEPT + 2):
        it.sweep()

    assert len(it) == 2500


async def test_ttls_are_given_or_taken_a_tenth() -> None:
    """So that what was kept at once does not expire at once."""
    draw, clock = random.Random(1), FakeClock()
    store = answers(clock, max_entries=10_000, max_bytes=2**30)
    store._random = draw.random  # noqa: SLF001 - as it would draw
    for number in range(1000):
        await store.put(f"t:a:1:{number}", answer(), 100.0)

    left = []
    for _ in range(21):
        left.append(sum([await store.get(f"t:a:1:{number}") is not None for number in range(1000)]))
        clock.advance(1.0 if left[1:] else 90.0)

    assert left[:2] == [1000, 1000]
    assert left[-1] < 100
    assert all(20 < before - after < 90 for before, after in pairwise(left[1:]))


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_memory_stays_flat_and_no_timers_pile_up() -> None:
    """Entries and bytes stay within bounds at every moment; half of the keys come again."""
    draw, clock = random.Random(2), FakeClock()
    store = answers(clock, max_entries=2000, max_bytes=4 * 2**20)
    loop = asyncio.get_running_loop()
    process = psutil.Process()
    settled = 0
    for number in range(INSERTS):
        text = "x" * draw.choice([10, 100, 1000, 10_000])
        await store.put(f"t:a:1:{draw.randrange(INSERTS // 2)}", answer(text), 300.0)
        assert len(store.cache) <= 2000
        assert store.cache.bytes <= 4 * 2**20
        if number % 100 == 0:
            clock.advance(1.0)
            store.cache.sweep()
        if number == INSERTS // 10:
            gc.collect()
            settled = process.memory_info().rss

    gc.collect()
    assert process.memory_info().rss - settled < 32 * 2**20
    assert loop._scheduled == [] or all(each.when() < loop.time() + 290 for each in loop._scheduled)  # type: ignore[attr-defined]  # noqa: SLF001 - what is pending
    assert store.cache.evictions > INSERTS / 4
