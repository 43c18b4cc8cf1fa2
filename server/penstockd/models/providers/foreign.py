"""Keeps a provider that somebody else wrote to the promises of our own."""

import re
from asyncio import FIRST_COMPLETED, CancelledError, Future, get_running_loop, wait
from typing import Final, TypeGuard

from msgspec.structs import astuple, replace

from penstockd.call import Call, Completed, Delta, Handler, Reply
from penstockd.foreign_tasks import LINGER, MOST_LEFT, ForeignTasks
from penstockd.logs.log import Log
from penstockd.model import Prompt, chosen
from penstockd.models.providers.dialect import MAX_TOKENS
from penstockd.models.providers.retry_hint import ABSURD
from penstockd.outcome import FinishReason
from penstockd.upstream import PROVIDER_ERROR, Blame, Broken, PassedOver, UpstreamFailure
from penstockd.usage import NOTHING, Usage

_LABEL: Final = re.compile(r"[a-z0-9_]{1,64}")
"""What a reason looks like: metrics have one series for each."""


class Foreign:
    """Turns whatever a foreign provider raises, or sends that is no answer, into a failure of the upstream.

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
        answer = _Gate(call)
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
            try:
                await self._tasks.end(task)
            finally:
                answer.forget_nonsense()

    async def _run(self, call: Call[Prompt]) -> UpstreamFailure | None:
        """Run the provider; return what it raises, if it does; SystemExit, too, which would end the daemon."""
        try:
            await self._provider(call)
        except UpstreamFailure as failure:
            return _understood(failure)
        except BaseException as error:  # noqa: BLE001 - the provider is somebody else's
            return _raised(error)
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
        self.decided: Future[UpstreamFailure | None] = get_running_loop().create_future()
        self.is_whole = False
        self.error: BaseException | None = None

    async def send(self, reply: Reply) -> None:
        if self.is_whole:
            raise RuntimeError("the answer is complete already")
        if self._is_over:
            raise RuntimeError("the attempt is over: nobody waits for its answer any more")
        mistake = _mistake(reply)
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
        if self._attempt is None:
            return
        if not _is_usage(self._attempt.usage):
            self._attempt.usage = NOTHING
        if not _is_whole_number(self._attempt.bytes_unsaid):
            self._attempt.bytes_unsaid = 0

    def _decide(self) -> None:
        if not self.decided.done():
            self.decided.set_result(None)


def _understood(failure: UpstreamFailure) -> UpstreamFailure:
    """`failure` without a reason or a hint that makes no sense; if it says less than one must, that it was raised."""
    if not _says_enough(failure):
        return _raised(failure)
    if not _is_label(getattr(failure, "reason", None)):
        failure.reason = _reason_of(type(failure))
    if not _is_hint(getattr(failure, "retry_after", None)):
        failure.retry_after = None
    return failure


def _says_enough(failure: UpstreamFailure) -> bool:
    """Whether it has words and blames somebody; that an attempt was none is not for a provider to say.

    For it may have sent text before.
    """
    words, blame = getattr(failure, "message", None), getattr(failure, "blame", None)
    return isinstance(words, str) and isinstance(blame, Blame) and not isinstance(failure, PassedOver)


def _reason_of(kind: type[UpstreamFailure]) -> str:
    reason = getattr(kind, "reason", None)
    return reason if _is_label(reason) else PROVIDER_ERROR


def _is_label(reason: object) -> TypeGuard[str]:
    return isinstance(reason, str) and _LABEL.fullmatch(reason) is not None


def _is_hint(seconds: object) -> bool:
    return isinstance(seconds, int | float) and 0 <= seconds <= ABSURD


def _raised(error: BaseException) -> Broken:
    broken = Broken(f"the provider raised {type(error).__name__}", reason=PROVIDER_ERROR)
    broken.__cause__ = error
    return broken


def _mistake(reply: object) -> str:
    """What is wrong with a reply; empty if nothing is."""
    match reply:
        case Delta(text=text):
            return "" if _is_text(text) else "a Delta without text that is valid Unicode"
        case Completed(finish_reason=reason, usage=usage):
            if not isinstance(reason, FinishReason):
                return "a Completed whose finish_reason is no FinishReason"
            if not _is_usage(usage):
                return f"a Completed whose usage is no Usage of whole numbers from 0 to {MAX_TOKENS}"
            return ""
        case _:
            return f"a {type(reply).__name__}, which is neither Delta nor Completed"


def _is_text(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_usage(usage: object) -> bool:
    return isinstance(usage, Usage) and all(map(_is_whole_number, astuple(usage)))


def _is_whole_number(number: object) -> bool:
    return isinstance(number, int) and 0 <= number <= MAX_TOKENS
