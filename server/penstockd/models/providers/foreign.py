"""Keeps a provider that somebody else wrote to the promises of our own."""

from asyncio import FIRST_COMPLETED, CancelledError, Future, get_running_loop, wait
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from penstockd.call import Call, Completed, Handler, Reply
from penstockd.foreign_tasks import MOST_LEFT, TIME_TO_END, ForeignTasks
from penstockd.logs.log import Log
from penstockd.model import Prompt
from penstockd.models.providers.foreign_sense import is_usage, is_whole_number, mistake_in, raised, understood
from penstockd.upstream import PROVIDER_ERROR, Broken, UpstreamFailure
from penstockd.usage import NOTHING


class Foreign:
    """Turns whatever a foreign provider raises, or sends that is no answer, into a failure of the upstream.

    The provider is a task of its own: whatever it makes of a cancellation, the attempt ends as who cancelled it wants.
    So is its close.
    """

    def __init__(self, provider: Handler[Prompt], log: Log) -> None:
        """Answer with `provider`; tell `log`, which says whose it is, what it raises when nobody else hears of it."""
        self._provider = provider
        self._log = log
        self._tasks = ForeignTasks()

    async def __call__(self, call: Call[Prompt]) -> None:
        """Send the provider's answer; raises a failure of penstockd.upstream, or what the caller's `send` raised."""
        if self._tasks.are_too_many:
            raise Broken(f"{MOST_LEFT} earlier calls of the provider go on though they are over", reason=PROVIDER_ERROR)
        answer = _Gate(call)
        failure = await self._failure(replace(call, send=answer.send), answer)
        if answer.error is not None:
            raise answer.error
        if not answer.is_whole:
            raise failure or Broken("the provider ended before its answer did", reason=PROVIDER_ERROR)
        if failure is not None:
            self._log.warning(
                "a provider failed after its answer", error=failure.account, request_id=call.outcome.request_id
            )

    async def close(self) -> None:
        """Close the provider, if it can be closed; however it fails to, that is only logged."""
        task = self._tasks.start(self._run(self._close))
        try:
            await wait({task}, timeout=TIME_TO_END)
        finally:
            failure = task.result() if task.done() else Broken("its close() went on for too long")
            await self._tasks.end(task)
            if failure is not None:
                self._log.warning("a provider failed to close", error=failure.account)

    async def _failure(self, call: Call[Prompt], answer: "_Gate") -> UpstreamFailure | None:
        """What is wrong with how the provider ends, if anything; it can send nothing from then on."""
        task = self._tasks.start(self._run(self._provider, call))
        try:
            await wait({task, answer.decided}, return_when=FIRST_COMPLETED)
            await wait({task}, timeout=TIME_TO_END)
            if task.done():
                return task.result()
            return Broken(f"the provider went on for {TIME_TO_END:g} s after its answer", reason=PROVIDER_ERROR)
        finally:
            answer.end()
            try:
                await self._tasks.end(task)
            finally:
                answer.forget_nonsense()

    async def _close(self) -> None:
        close = getattr(self._provider, "close", None)
        if close is not None:
            await close()

    async def _run(self, work: Callable[..., Awaitable[None]], *call: Call[Prompt]) -> UpstreamFailure | None:
        """Run `work`; return what it raises, if it does; SystemExit, too, which would end the daemon."""
        try:
            await work(*call)
        except UpstreamFailure as failure:
            return understood(failure)
        except BaseException as error:  # noqa: BLE001 - the provider is somebody else's
            return raised(error)
        return None


class _Gate:
    """Hands on the replies of one answer, none after its last, none once the attempt is over and none that is no reply.

    `error` is what kept a reply from being sent, unless the provider itself broke that off. `decided` is done when
    nothing that follows can change the answer.
    """

    def __init__(self, call: Call[Prompt]) -> None:
        self._send = call.send
        self._attempt = call.request.attempt
        self._is_over = False
        # Of one type with the task that it is waited for with.
        self.decided: Future[UpstreamFailure | None] = get_running_loop().create_future()
        self.is_whole = False
        self.error: BaseException | None = None

    async def send(self, reply: Reply) -> None:
        if self.is_whole:
            raise RuntimeError("the answer is complete already")
        if self._is_over:
            raise RuntimeError("the attempt is over: nobody waits for its answer any more")
        mistake = mistake_in(reply)
        if mistake:
            self.error = Broken(f"the provider sent {mistake}", reason=PROVIDER_ERROR)
            self.end()
            self._decide()
            raise self.error
        self.is_whole = isinstance(reply, Completed)
        self.forget_nonsense()
        try:
            await self._send(reply)
        except CancelledError:
            # The provider's doing: if the attempt itself is cancelled, nobody looks at this. Nothing more may pass, or
            # the answer would have a hole.
            if isinstance(reply, Completed):
                self.is_whole = False
            self.end()
            self._decide()
            raise
        except BaseException as error:
            self.error = error
            self._decide()
            raise
        if self.is_whole:
            self._decide()

    def end(self) -> None:
        """Let nothing more pass."""
        self._is_over = True

    def forget_nonsense(self) -> None:
        """Leave to our own count what the provider noted of its use that no use can be."""
        if not is_usage(self._attempt.usage):
            self._attempt.usage = NOTHING
        if not is_whole_number(self._attempt.bytes_unsaid):
            self._attempt.bytes_unsaid = 0

    def _decide(self) -> None:
        if not self.decided.done():
            self.decided.set_result(None)
