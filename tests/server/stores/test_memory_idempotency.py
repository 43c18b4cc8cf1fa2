"""Idempotency keys are remembered for a day, within bounds, and claims for as long as their calls last."""

from fakes.caching import answer
from fakes.clock import FakeClock
from penstockd.keyed_answers import KeyedAnswer
from penstockd.stores.memory_idempotency import KEPT_FOR, OVERHEAD, Bounds, MemoryIdempotency

PLENTY = Bounds(1000, 2**30)


async def keep(memory: MemoryIdempotency, tenant: str, key: str, text: str = "hello") -> None:
    """Claim a key, and remember an answer."""
    assert await memory.claim(tenant, key, "f") is None
    await memory.keep(tenant, key, "f", answer(text))
    await memory.release(tenant, key, "f")


async def kept(memory: MemoryIdempotency, tenant: str, *keys: str) -> str:
    """Those of the keys that have an answer."""
    found = ""
    for key in keys:
        remembered = await memory.claim(tenant, key, "probe")
        if remembered is None:
            await memory.release(tenant, key, "probe")
        elif remembered.answer is not None:
            found += key
    return found


async def test_a_key_is_claimed_once_and_then_remembered() -> None:
    """With the request's fingerprint at first, and then with its answer."""
    memory = MemoryIdempotency(FakeClock())

    assert await memory.claim("t", "k", "f") is None
    assert await memory.claim("t", "k", "other") == KeyedAnswer(fingerprint="f", answer=None)
    assert await memory.claim("other", "k", "f") is None
    await memory.keep("t", "k", "f", answer())
    assert await memory.claim("t", "k", "other") == KeyedAnswer(fingerprint="f", answer=answer())


async def test_calls_of_one_request_share_its_claim() -> None:
    """No other request gets the key before the last of them has given it up."""
    memory = MemoryIdempotency(FakeClock())
    assert await memory.claim("t", "k", "f") is None
    assert await memory.claim("t", "k", "f") is None

    await memory.release("t", "k", "f")

    assert await memory.claim("t", "k", "other") == KeyedAnswer(fingerprint="f", answer=None)
    await memory.release("t", "k", "f")
    assert await memory.claim("t", "k", "other") is None


async def test_nothing_is_kept_without_a_claim() -> None:
    """Whoever was given up has no answer to remember."""
    memory = MemoryIdempotency(FakeClock())

    await memory.keep("t", "k", "f", answer())

    assert await memory.claim("t", "k", "other") is None


async def test_a_claim_that_came_to_nothing_is_free_again() -> None:
    """But only whoever made it gives it back."""
    memory = MemoryIdempotency(FakeClock())
    await memory.claim("t", "k", "f")
    await memory.release("t", "k", "other")
    assert await memory.claim("t", "k", "other") is not None

    await memory.release("t", "k", "f")

    assert await memory.claim("t", "k", "other") is None
    await memory.keep("t", "k", "f", answer())
    assert await memory.claim("t", "k", "f") == KeyedAnswer(fingerprint="other", answer=None)


async def test_an_answer_is_forgotten_after_a_day() -> None:
    """The key may then name another request."""
    clock = FakeClock()
    memory = MemoryIdempotency(clock)
    await keep(memory, "t", "k")
    clock.advance(KEPT_FOR - 1)
    assert await memory.claim("t", "k", "f") is not None

    clock.advance(1)

    assert await memory.claim("t", "k", "other") is None
    assert repr(memory) == "<MemoryIdempotency 1 claims, 0 answers, 0 bytes>"


async def test_a_tenant_with_many_keys_forgets_its_own_oldest() -> None:
    """No other tenant's."""
    memory = MemoryIdempotency(FakeClock(), per_tenant=Bounds(3, 2**30), in_all=PLENTY)
    await keep(memory, "quiet", "a")
    for key in "abcde":
        await keep(memory, "busy", key)

    assert await kept(memory, "busy", *"abcde") == "cde"
    assert await kept(memory, "quiet", "a") == "a"


async def test_long_answers_are_bounded_in_bytes() -> None:
    """One that alone is too long is forgotten at once."""
    memory = MemoryIdempotency(FakeClock(), per_tenant=Bounds(100, 3 * (OVERHEAD + 2000)), in_all=PLENTY)
    for key in "abcde":
        await keep(memory, "t", key, "x" * 1000 * (1 + (key == "e")))
    assert await kept(memory, "t", *"abcde") == "cde"

    await keep(memory, "t", "f", "x" * 100_000)

    assert repr(memory) == "<MemoryIdempotency 0 claims, 0 answers, 0 bytes>"


async def test_all_tenants_together_are_bounded() -> None:
    """By count and bytes; the oldest of all goes first."""
    memory = MemoryIdempotency(FakeClock(), per_tenant=PLENTY, in_all=Bounds(4, 2**30))
    for tenant in "abcdef":
        await keep(memory, tenant, "k")
    assert [tenant for tenant in "abcdef" if await kept(memory, tenant, "k")] == ["c", "d", "e", "f"]

    small = MemoryIdempotency(FakeClock(), per_tenant=PLENTY, in_all=Bounds(1000, 10 * (OVERHEAD + 2000)))
    for number in range(1000):
        await keep(small, f"t{number % 7}", str(number), "x" * 1000)
        assert small.bytes <= 10 * (OVERHEAD + 2000)


async def test_a_claim_is_not_forgotten_under_its_running_call() -> None:
    """Whatever is remembered and forgotten meanwhile."""
    clock = FakeClock()
    memory = MemoryIdempotency(clock, per_tenant=Bounds(2, 2**30), in_all=Bounds(2, 2**30))
    await memory.claim("t", "running", "f")
    for number in range(100):
        await keep(memory, "t", str(number))
    clock.advance(2 * KEPT_FOR)

    assert await memory.claim("t", "running", "other") == KeyedAnswer(fingerprint="f", answer=None)
