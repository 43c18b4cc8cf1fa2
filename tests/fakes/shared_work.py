"""Work that a test steers reply by reply, and callers who share it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fakes.calls import PROCESS, REQUEST, a_call
from penstockd.call import Call, Completed, Delta, Handler, Method, Reply
from penstockd.outcome import FinishReason, Outcome
from penstockd.principal import Principal
from penstockd.request import Request
from penstockd.usage import Usage

PATIENCE = 5.0
DONE = Completed(finish_reason=FinishReason.STOP, usage=Usage(uncached_input=3, output=2))


class Work:
    """A handler that replies as it is told; `calls` are those that reached it, `cancels` those that were cancelled."""

    def __init__(self) -> None:
        self.calls: list[Call[Any]] = []
        self.cancels = 0
        self.cancelled = asyncio.Event()
        self._steps: asyncio.Queue[Reply | BaseException] = asyncio.Queue()

    async def __call__(self, call: Call[Any]) -> None:
        self.calls.append(call)
        try:
            step: Reply | BaseException | None = None
            while not isinstance(step, Completed):
                step = await self._steps.get()
                if isinstance(step, BaseException):
                    raise step
                call.outcome.agent, call.outcome.model = call.request.agent, "m"
                await call.send(step)
        except asyncio.CancelledError:
            self.cancels += 1
            self.cancelled.set()
            raise

    def say(self, *texts: str) -> None:
        """Send more text."""
        for text in texts:
            self._steps.put_nowait(Delta(text))

    def end(self, reason: FinishReason = FinishReason.STOP, *, may_be_kept: bool = True) -> None:
        """Complete."""
        done = Completed(finish_reason=reason, usage=DONE.usage, may_be_kept=may_be_kept)
        self._steps.put_nowait(done)

    def fail(self, error: BaseException) -> None:
        """Raise."""
        self._steps.put_nowait(error)


class Caller:
    """One caller: hears replies into `texts`, at its own pace if it is `held`, until `error` or `completed`."""

    def __init__(
        self,
        request: Request = REQUEST,
        *,
        method: Method = PROCESS,
        tenant: str = "acme",
        expires_at: float = float("inf"),
    ) -> None:
        self.texts: list[str] = []
        self.completed: Completed | None = None
        self.error: BaseException | None = None
        self.outcome = Outcome(principal=Principal(tenant=tenant))
        self.flow = asyncio.Event()
        self.flow.set()
        self.call = a_call(request, method=method, send=self._hear, outcome=self.outcome, expires_at=expires_at)
        self._task: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        """All that was heard."""
        return "".join(self.texts)

    @property
    def is_done(self) -> bool:
        """Whether its call has ended."""
        return self._task is not None and self._task.done()

    def starts(self, riding: Awaitable[None] | Callable[[Call[Request]], Awaitable[None]]) -> "Caller":
        """Ride in a task of its own, as gRPC would have it."""
        self._task = asyncio.create_task(self._ride(riding if isinstance(riding, Awaitable) else riding(self.call)))
        return self

    async def cancels(self) -> None:
        """Cancel the call, as a client may, and wait for its end."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task], timeout=PATIENCE)

    async def ends(self) -> "Caller":
        """Return once the call has ended."""
        assert self._task is not None
        async with asyncio.timeout(PATIENCE):
            await self._task
        return self

    async def _ride(self, riding: Awaitable[None]) -> None:
        try:
            await riding
        except Exception as error:  # noqa: BLE001 - what ends a call is what the test looks at
            self.error = error

    async def _hear(self, reply: Reply) -> None:
        await self.flow.wait()
        match reply:
            case Delta(text=text):
                self.texts.append(text)
            case Completed():
                assert self.completed is None, "nothing comes after Completed"
                self.completed = reply


def through(interceptor: Callable[[Call[Request], Handler[Request]], Awaitable[None]], work: Work) -> Handler[Request]:
    """The handler that is `interceptor` around `work`."""

    async def handle(call: Call[Request]) -> None:
        await interceptor(call, work)

    return handle
