"""Work begins at once, and becomes a task of its own only if it has to wait."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from penstockd.interceptors.head_start import begun


async def test_work_that_need_not_wait_ends_where_it_begins() -> None:
    """Without a task, whatever its end is."""

    async def ends(error: BaseException | None) -> int:
        if error is not None:
            raise error
        return 7

    fine, broken, cancelled = (begun(ends(error)) for error in (None, ValueError("broken"), asyncio.CancelledError()))

    assert fine.result() == 7
    assert isinstance(broken.exception(), ValueError)
    assert cancelled.cancelled()
    assert len(asyncio.all_tasks()) == 1


async def test_work_that_waits_goes_on_in_a_task() -> None:
    """From where it stood, through every further wait, with what it waited for."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[str] = loop.create_future()
    second: asyncio.Future[str] = loop.create_future()

    async def work() -> list[str]:
        heard = [await first]
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="no luck"):
            await second
        return heard

    end = begun(work())
    assert not end.done()
    first.set_result("luck")
    second.set_exception(ValueError("no luck"))

    assert await end == ["luck"]


async def test_what_waits_can_fail() -> None:
    """Its error is the task's."""

    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await begun(work())


async def test_a_timeout_set_before_the_first_wait_ends_the_work_and_not_its_caller() -> None:
    """What asks for the current task then means the work, of which there is no task yet."""

    async def work() -> str:
        async with asyncio.timeout(0.01):
            try:
                await asyncio.Event().wait()
            finally:
                assert asyncio.current_task() is end
        return "never"

    end = begun(work())
    with pytest.raises(TimeoutError):
        await asyncio.shield(end)

    caller = asyncio.current_task()
    assert caller is not None
    assert caller.cancelling() == 0


async def test_a_timeout_that_nobody_needs_is_as_if_it_were_not() -> None:
    """Set and left before the first wait."""

    async def work() -> int:
        async with asyncio.timeout(10), asyncio.TaskGroup():
            return 7

    assert begun(work()).result() == 7


async def test_the_caller_is_the_current_task_again() -> None:
    """Whether the work waits or not; and while the work begins it is not."""
    caller = asyncio.current_task()
    seen: list[object] = []

    async def work(waits: int) -> None:
        seen.append(asyncio.current_task())
        for _ in range(waits):
            await asyncio.sleep(0)

    ends = []
    for waits in (0, 1):
        ends.append(begun(work(waits)))
        assert asyncio.current_task() is caller

    assert caller not in seen
    await asyncio.wait(ends)


async def forever() -> None:
    """Wait for nothing in particular."""
    await asyncio.Event().wait()


async def a_turn() -> None:
    """Let others go first."""
    await asyncio.sleep(0)


@pytest.mark.parametrize("wait", [forever, a_turn])
async def test_cancelling_the_task_cancels_the_work(wait: Callable[[], Awaitable[None]]) -> None:
    """As with any other, whatever the work waits for."""
    was_cancelled = False

    async def work() -> None:
        nonlocal was_cancelled
        try:
            await wait()
        except asyncio.CancelledError:
            was_cancelled = True
            raise

    end = begun(work())
    await asyncio.sleep(0)
    end.cancel()

    with pytest.raises(asyncio.CancelledError):
        await end
    assert was_cancelled
