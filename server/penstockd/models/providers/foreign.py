"""Keeps a provider that somebody else wrote to the promises of our own."""

from msgspec.structs import replace

from penstockd.call import Call, Completed, Handler, Reply
from penstockd.model import Prompt
from penstockd.upstream import PROVIDER_ERROR, Broken, UpstreamFailure


class Foreign:
    """Turns whatever a foreign provider raises, or its ending without an answer, into a failure of the upstream."""

    def __init__(self, provider: Handler[Prompt]) -> None:
        """Answer with `provider`."""
        self._provider = provider

    async def __call__(self, call: Call[Prompt]) -> None:
        """Send the provider's answer; raises a failure of penstockd.upstream, or what the caller's `send` raises."""
        is_whole = is_sending = False

        async def send(reply: Reply) -> None:
            nonlocal is_whole, is_sending
            is_whole = isinstance(reply, Completed)
            is_sending = True
            await call.send(reply)
            is_sending = False

        try:
            await self._provider(replace(call, send=send))
        except UpstreamFailure:
            raise
        except Exception as error:
            if is_sending:
                raise
            raise Broken(f"the provider raised {type(error).__name__}", reason=PROVIDER_ERROR) from error
        if not is_whole:
            raise Broken("the provider ended before its answer did", reason=PROVIDER_ERROR)

    async def close(self) -> None:
        """Close the provider, if it can be closed."""
        close = getattr(self._provider, "close", None)
        if close is not None:
            await close()
