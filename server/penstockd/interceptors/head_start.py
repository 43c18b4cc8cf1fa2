"""Work that begins where it is asked for, and becomes a task only if it has to wait."""

import asyncio
from asyncio import tasks
from collections.abc import Coroutine, Generator
from functools import partial
from types import coroutine
from typing import TypeVar, cast

T = TypeVar("T")


def begun(work: Coroutine[object, object, T]) -> "asyncio.Future[T]":
    """Run `work` to its first wait; return its end if it came so far, else the task that goes on with it.

    A task and the loop's turns around it cost more than most work that need not wait. This is what the eager tasks of
    Python 3.12 do; what is begun is no part of the caller's task here either.
    """
    loop = asyncio.get_running_loop()
    caller, beginner = asyncio.current_task(), _Beginner()
    _switch(loop, caller, beginner)
    end: asyncio.Future[T] = loop.create_future()
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        end.set_result(done.value)
    except asyncio.CancelledError:
        end.cancel()
    except BaseException as error:  # noqa: BLE001 - whoever looks at the end raises it again
        end.set_exception(error)
    else:
        end = beginner.task = loop.create_task(_rest(work, waits_for))
    finally:
        _switch(loop, beginner, caller)
    return end


class _Beginner:
    """The current task while work begins: a timeout that is set meanwhile reaches, through it, the task to come."""

    task: "asyncio.Task[object] | None" = None

    def cancel(self, message: object = None) -> bool:
        return self.task is not None and self.task.cancel(message)

    def cancelling(self) -> int:
        return 0 if self.task is None else self.task.cancelling()

    def uncancel(self) -> int:
        return 0 if self.task is None else self.task.uncancel()


@coroutine
def _rest(work: Coroutine[object, object, T], waits_for: object) -> Generator[object, object, T]:
    """Go on with `work`, which waits for something."""
    while True:
        try:
            news = yield waits_for
        except BaseException as error:  # noqa: BLE001 - the work's to deal with
            go_on = partial(work.throw, error)
        else:
            go_on = partial(work.send, news)
        try:
            waits_for = go_on()
        except StopIteration as done:
            return cast("T", done.value)


def _switch(loop: asyncio.AbstractEventLoop, left: object, entered: object) -> None:
    """Change the current task, by the functions that asyncio documents for those who drive coroutines themselves."""
    tasks._leave_task(loop, cast("asyncio.Task[object]", left))  # noqa: SLF001
    tasks._enter_task(loop, cast("asyncio.Task[object]", entered))  # noqa: SLF001
