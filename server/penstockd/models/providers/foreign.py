"""Keeps a provider that somebody else wrote to the promises of our own."""

from asyncio import CancelledError

from msgspec.structs import replace

from penstockd.call import Call, Completed, Handler, Reply, Send
from penstockd.log import Log
from penstockd.model import Prompt, chosen
from penstockd.upstream import PROVIDER_ERROR, Broken, UpstreamFailure


class Foreign:
    """Turns whatever a foreign provider raises, or its ending without an answer, into a failure of the upstream."""

    def __init__(self, provider: Handler[Prompt], log: Log) -> None:
        """Answer with `provider`; tell `log` of what it raises when its answer is whole."""
        self._provider = provider
        self._log = log

    async def __call__(self, call: Call[Prompt]) -> None:
        """Send the provider's answer; raises a failure of penstockd.upstream, or what the caller's `send` raised."""
        answer = _Answer(call.send)
        failure = await self._failure(replace(call, send=answer.send))
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

    async def _failure(self, call: Call[Prompt]) -> UpstreamFailure | None:
        """What the provider raises, if it does; SystemExit, too, which would end the daemon."""
        try:
            await self._provider(call)
        except CancelledError:
            raise
        except UpstreamFailure as failure:
            return failure
        except BaseException as error:  # noqa: BLE001 - the provider is somebody else's
            broken = Broken(f"the provider raised {type(error).__name__}", reason=PROVIDER_ERROR)
            broken.__cause__ = error
            return broken
        return None


class _Answer:
    """Hands on the replies of one answer, and none after its last; `error` is what kept one from being sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_whole = False
        self.error: BaseException | None = None

    async def send(self, reply: Reply) -> None:
        if self.is_whole:
            raise RuntimeError("the answer is complete already")
        self.is_whole = isinstance(reply, Completed)
        try:
            await self._send(reply)
        except BaseException as error:
            self.error = error
            raise
