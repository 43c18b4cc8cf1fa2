"""What makes sense of the failures and replies of a provider that somebody else wrote."""

import re
from typing import Final, TypeGuard

from msgspec.structs import astuple

from penstockd.call import Completed, Delta
from penstockd.models.providers.dialect import MAX_TOKENS
from penstockd.models.providers.retry_hint import ABSURD
from penstockd.outcome import FinishReason
from penstockd.upstream import PROVIDER_ERROR, Blame, Broken, PassedOver, UpstreamFailure
from penstockd.usage import Usage

_LABEL: Final = re.compile(r"[a-z0-9_]{1,64}")
"""What a reason looks like: metrics have one series for each."""


def understood(failure: UpstreamFailure) -> UpstreamFailure:
    """`failure` without a reason or a hint that makes no sense; if it says less than one must, that it was raised."""
    if not _says_enough(failure):
        return raised(failure)
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


def raised(error: BaseException) -> Broken:
    """The failure that is `error`, which no class of ours is."""
    broken = Broken(f"the provider raised {type(error).__name__}", reason=PROVIDER_ERROR)
    broken.__cause__ = error
    return broken


def mistake_in(reply: object) -> str:
    """What is wrong with a reply; empty if nothing is."""
    match reply:
        case Delta(text=text):
            return "" if _is_text(text) else "a Delta without text that is valid Unicode"
        case Completed(finish_reason=reason, usage=usage):
            if not isinstance(reason, FinishReason):
                return "a Completed whose finish_reason is no FinishReason"
            if not is_usage(usage):
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


def is_usage(usage: object) -> bool:
    """Whether it is one that can be billed."""
    return isinstance(usage, Usage) and all(map(is_whole_number, astuple(usage)))


def is_whole_number(number: object) -> bool:
    """Whether it is a number of tokens or bytes that a call may come to."""
    return isinstance(number, int) and 0 <= number <= MAX_TOKENS
