"""A name is looked up once for all who ask, and a lookup that hangs holds up nobody else."""

import asyncio
import gc
import socket
from threading import Thread
from weakref import ref

import pytest

from fakes.lookups import HeldLookup, at, threads
from penstockd.models.providers import resolver
from penstockd.models.providers.origin import Origin
from penstockd.models.providers.resolver import Addresses, Resolver, system_lookup

ORIGIN = Origin.of("http://llm.internal")
FOUND = at(80)


def asking(it: Resolver) -> asyncio.Task[Addresses]:
    """Ask for the addresses."""
    return asyncio.ensure_future(it.addresses())


async def leave(task: asyncio.Task[Addresses]) -> None:
    """Be cancelled while waiting."""
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_all_who_wait_share_one_lookup_and_one_thread() -> None:
    """However many leave meanwhile; the process does not wait for the thread."""
    look_up = HeldLookup(FOUND)
    it = Resolver(ORIGIN, look_up)
    waiting = [asking(it) for _ in range(3)]
    await leave(waiting.pop())
    waiting.append(asking(it))
    await asyncio.sleep(0)

    (thread,) = threads(ORIGIN)
    await look_up.let_go(ORIGIN)

    assert await asyncio.gather(*waiting) == [FOUND] * 3
    assert look_up.asked == 1
    assert thread.daemon


async def test_an_answer_that_comes_late_serves_the_next_who_asks() -> None:
    """Once: whoever asks after that is told what is so then."""
    look_up = HeldLookup(FOUND)
    it = Resolver(ORIGIN, look_up)
    await leave(asking(it))
    await look_up.let_go(ORIGIN)
    look_up.answer = at(81)

    assert [await it.addresses(), await it.addresses()] == [FOUND, at(81)]

    assert look_up.asked == 2


async def test_an_answer_that_came_too_late_for_all_is_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host may be elsewhere by then."""
    monkeypatch.setattr(resolver, "LATE", 0.0)
    look_up = HeldLookup(FOUND)
    it = Resolver(ORIGIN, look_up)
    await leave(asking(it))
    await look_up.let_go(ORIGIN)
    look_up.answer = at(81)
    await asyncio.sleep(0.01)

    assert await it.addresses() == at(81)


async def test_an_answer_that_was_waited_for_leaves_nothing() -> None:
    """No timer either, of which a busy daemon would have one for each connection of the last minute."""
    look_up = HeldLookup(FOUND)
    it = Resolver(ORIGIN, look_up)
    waiting = asking(it)
    await asyncio.sleep(0)
    await look_up.let_go(ORIGIN)
    await waiting

    left = ref(it)
    del it, waiting
    gc.collect()

    assert left() is None


async def test_a_lookup_that_cannot_begin_is_a_failure_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As others are, so that another model is asked; the next one asks anew."""

    class NoThread(Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    it = Resolver(ORIGIN, lambda host, port: FOUND)
    with monkeypatch.context() as exhausted:
        exhausted.setattr(resolver, "Thread", NoThread)
        with pytest.raises(OSError, match="can't start new thread"):
            await it.addresses()

    assert await it.addresses() == FOUND


async def test_a_failure_is_told_to_all_who_wait_and_is_not_kept() -> None:
    """The next one asks anew."""
    look_up = HeldLookup(socket.gaierror("unknown"))
    it = Resolver(ORIGIN, look_up)
    waiting = [asking(it), asking(it)]
    await asyncio.sleep(0)

    await look_up.let_go(ORIGIN)

    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told] == [socket.gaierror] * 2
    look_up.answer = FOUND
    assert await it.addresses() == FOUND


async def test_a_failure_that_comes_late_is_nobodys() -> None:
    """Nothing is logged of it, and the next one asks anew."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    look_up = HeldLookup(socket.gaierror("unknown"))
    it = Resolver(ORIGIN, look_up)
    await leave(asking(it))

    await look_up.let_go(ORIGIN)

    gc.collect()
    assert reported == []
    look_up.answer = FOUND
    assert await it.addresses() == FOUND


def test_a_lookup_may_outlive_its_loop() -> None:
    """Nobody is left to be told."""
    look_up = HeldLookup(FOUND)

    async def give_up() -> None:
        await leave(asking(Resolver(ORIGIN, look_up)))

    asyncio.run(give_up())
    asyncio.run(look_up.let_go(ORIGIN))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_an_address_is_not_looked_up(host: str) -> None:
    """It is where it says."""
    look_up = HeldLookup(OSError())

    ((_, _, _, _, address),) = await Resolver(Origin.of(f"http://{host}:81"), look_up).addresses()

    assert address[:2] == (host.strip("[]"), 81)
    assert look_up.asked == 0


async def test_the_system_knows_this_machine_by_name() -> None:
    """What is found can be connected to over TCP."""
    found = await Resolver(Origin.of("http://localhost:81"), system_lookup).addresses()

    assert {kind for _, kind, _, _, _ in found} == {socket.SOCK_STREAM}
    assert {address[1] for _, _, _, _, address in found} == {81}
