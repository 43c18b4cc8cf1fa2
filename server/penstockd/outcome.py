"""What a call turned out to be: written by inner layers, read by outer ones."""

import asyncio
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import partial
from itertools import count
from secrets import token_hex
from typing import TypeGuard

from msgspec import Struct, field

from penstockd.errors import Code, Internal, PenstockError
from penstockd.principal import Principal
from penstockd.resilience.allowance import Grant
from penstockd.usage import NOTHING, Usage

_PROCESS = token_hex(10)
_numbers = count()


def _next_call_id() -> str:
    """Unique among all processes, and in ascending order in this one, so that a ledger only appends."""
    return f"{_PROCESS}{next(_numbers):012x}"


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"


class CacheStatus(StrEnum):
    """How the cache served a call."""

    MISS = "miss"
    HIT = "hit"
    COALESCED = "coalesced"
    BYPASSED = "bypassed"


class Attempt(Struct, kw_only=True):
    """One model call: filled in while it runs, so that whatever ends it finds what is known so far.

    `ordinal` tells it from the other attempts of its call, `reason_before` is why the one before it ended, empty for a
    first one, `response_model` which model its provider says it was. Times are monotonic seconds. `grant` is what was
    taken of what the provider grants us, `usage` what the provider has reported, all of it if `is_counted`,
    `bytes_unsaid` how much output it has made that is no text; `cost_nanousd` None means no known price of what was
    used. The model was asked at `asked_at`, if it was, began a stream at `first_chunk_at`, and was done at
    `answered_at`; `is_unsent` if it is known that nothing of the request went out.
    """

    model: str
    started_at: float
    ordinal: int = 1
    reason_before: str = ""
    ended_at: float | None = None
    asked_at: float | None = None
    is_unsent: bool = False
    first_chunk_at: float | None = None
    answered_at: float | None = None
    reason: str = ""
    is_complete: bool = False
    grant: Grant = Grant()
    usage: Usage = Usage()
    is_counted: bool = False
    bytes_unsaid: int = 0
    cost_nanousd: int | None = None
    is_estimated: bool = False
    response_model: str = ""


class Outcome(Struct, kw_only=True):
    """The one mutable thing a call carries, by reference, through every layer.

    `call_id` is unique, unlike `request_id`, which callers choose. `auth` is why the caller was not believed, for
    operators alone. `cut` is set before the daemon itself cancels the call: it is what the caller is told. `headers` go
    out with the first message, or with the refusal. `waited` is how many seconds the call stood still for want of a
    model to ask. `trace_ids` are by what the log finds its trace.
    """

    call_id: str = field(default_factory=_next_call_id)
    ordinals: Iterator[int] = field(default_factory=partial(count, 1))
    request_id: str = ""
    trace_ids: Mapping[str, str] = {}
    agent: str = ""
    principal: Principal | None = None
    auth: str = ""
    cache: CacheStatus = CacheStatus.BYPASSED
    model: str = ""
    finish_reason: FinishReason | None = None
    first_content_at: float | None = None
    waited: float = 0.0
    attempts: list[Attempt] = []
    cut: PenstockError | None = None
    headers: list[tuple[str, str]] = []

    @property
    def log_fields(self) -> dict[str, str]:
        """Which call a line of the log is about, and whose, as far as is known."""
        whose = (("agent", self.agent), ("tenant", self.principal.tenant if self.principal else ""))
        return {"request_id": self.request_id, **self.trace_ids, **{name: value for name, value in whose if value}}

    @property
    def usage(self) -> Usage:
        """Tokens over all completed model calls."""
        total = NOTHING
        for attempt in self.attempts:
            if attempt.is_complete:
                total = attempt.usage if total is NOTHING else total + attempt.usage
        return total

    @property
    def cost_nanousd(self) -> int | None:
        """What all attempts cost, or None if one of them used what has no known price."""
        total = 0
        for attempt in self.attempts:
            if attempt.cost_nanousd is None:
                return None
            total += attempt.cost_nanousd
        return total

    @property
    def is_estimated(self) -> bool:
        """Whether any part of the cost is our estimate."""
        for attempt in self.attempts:  # noqa: SIM110 - every answer is asked, and any() takes three times as long
            if attempt.is_estimated:
                return True
        return False

    def told(self, error: BaseException) -> PenstockError | None:
        """What the caller is told of a call that `error` ended, in the call's own task; None where the caller is gone.

        Both a cut and a caller who leaves cancel the task, whatever the handler made of that.
        """
        if can_be_told(error):
            return error
        if self.cut is not None:
            return self.cut
        task = asyncio.current_task()
        return None if task is not None and task.cancelling() else Internal()


def can_be_told(error: BaseException) -> TypeGuard[PenstockError]:
    """Whether `error` is one of ours and a status can be made of it: an agent may have put anything into it."""
    if not isinstance(error, PenstockError):
        return False
    try:
        texts = [error.reason, *error.metadata, *error.metadata.values()]
        for violation in error.violations:
            texts += [violation.field, violation.description]
        if error.quota is not None:
            texts += [error.quota.subject, error.quota.rule]
        # Raises for what is no text, and for half a surrogate pair, which protobuf does not take.
        "".join(texts).encode()
        # A half pair in the message is replaced.
        values = (error.code, error.message, error.retry_after)
    except Exception:  # noqa: BLE001 - what is missing or odd may raise anything
        return False
    return all(map(isinstance, values, (Code, str, int | float | None)))
