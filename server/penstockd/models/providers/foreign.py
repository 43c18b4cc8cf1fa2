"""Keeps a provider that somebody else wrote to the promises of our own."""

from asyncio import FIRST_COMPLETED, CancelledError, Future, get_running_loop, wait

from msgspec.structs import replace

from penstockd.call import Call, Completed, Handler, Reply, Send
from penstockd.foreign_tasks import LINGER, MOST_LEFT, ForeignTasks
from penstockd.logs.log import Log
from penstockd.model import Prompt, chosen
from penstockd.upstream import PROVIDER_ERROR, Broken, UpstreamFailure


class Foreign:
    """Turns whatever a foreign provider raises, or its ending without an answer, into a failure of the upstream.

    The provider is a task of its own: whatever it makes of a cancellation, the attempt ends as who cancelled it wants.
    """

    def __init__(self, provider: Handler[Prompt], log: Log) -> None:
        """Answer with `provider`; tell `log` of what it raises when its answer is whole."""
        self._provider = provider
        self._log = log
        self._tasks = ForeignTasks()

    async def __call__(self, call: Call[Prompt]) -> None:
        """Send the provider's answer; raises a failure of penstockd.upstream, or what the caller's `send` raised."""
        if self._tasks.are_too_many:
            raise Broken(f"{MOST_LEFT} earlier calls of the provider go on though they are over", reason=PROVIDER_ERROR)
        answer = _Gate(call.send)
        failure = await self._failure(replace(call, send=answer.send), answer)
        if answer.error is not None:
            raise answer.error
        if not answer.is_whole:
            raise failure or Broken("the provider ended before its answer did", reason=PROVIDER_ERROR)
        if failure is not None:
            self._log.warning(
                "a provider failed after its answer",
                model=chosen(call.request).name,
                error=failure.account,
                request_id=call.outcome.request_id,
            )

    async def close(self) -> None:
        """Close the provider, if it can be closed."""
        close = getattr(self._provider, "close", None)
        if close is not None:
            await close()

    async def _failure(self, call: Call[Prompt], answer: "_Gate") -> UpstreamFailure | None:
        """What is wrong with how the provider ends, if anything; it can send nothing from then on."""
        task = self._tasks.start(self._run(call))
        try:
            await wait({task, answer.decided}, return_when=FIRST_COMPLETED)
            await wait({task}, timeout=LINGER)
            if task.done():
                return task.result()
            return Broken(f"the provider went on for {LINGER:g} s after its answer", reason=PROVIDER_ERROR)
        finally:
            answer.end()
            await self._tasks.end(task)

    async def _run(self, call: Call[Prompt]) -> UpstreamFailure | None:
        """Run the provider; return what it raises, if it does; SystemExit, too, which would end the daemon."""
        try:
            await self._provider(call)
        except UpstreamFailure as failure:
            return failure
        except BaseException as error:  # noqa: BLE001 - the provider is somebody else's
            broken = Broken(f"the provider raised {type(error).__name__}", reason=PROVIDER_ERROR)
            broken.__cause__ = error
            return broken
        return None


class _Gate:
    """Hands on the replies of one answer, none after its last and none once the attempt is over.

    `error` is what kept a reply from being sent, unless the provider itself broke that off. `decided` is done when
    nothing that follows can change the answer.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_over = False
        self.decided: Future[UpstreamFailure | None] = get_running_loop().create_future()
        self.is_whole = False
        self.error: BaseException | None = None

    async def send(self, reply: Reply) -> None:
        if self.is_whole:
            raise RuntimeError("the answer is complete already")
        if self._is_over:
            raise RuntimeError("the attempt is over: nobody waits for its answer any more")
        self.is_whole = isinstance(reply, Completed)
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

    def _decide(self) -> None:
        if not self.decided.done():
            self.decided.set_result(None)
