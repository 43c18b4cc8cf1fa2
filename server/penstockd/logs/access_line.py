"""What the log says of a finished call: one line, whatever became of it."""

from collections.abc import Mapping

from penstockd.call import Call
from penstockd.errors import Quota
from penstockd.outcome import Attempt

UNDER_WAY = "under_way"


def access_line(
    call: Call[object], *, code: str, reason: str, duration: float, quota: Quota | None = None, asked: str = ""
) -> dict[str, object]:
    """The fields of the line; what is not known is left out. `duration` is in seconds.

    `quota` is what denied the call, `asked` the agent that it is for, where none may have had it.
    """
    outcome = call.outcome
    fields: dict[str, object] = {
        "request_id": outcome.request_id,
        "call_id": outcome.call_id,
        "method": call.method.path,
        "code": code,
        "duration_ms": _milliseconds(duration),
        "peer": call.peer,
    }
    if reason:
        fields |= _why(reason, quota, "" if outcome.agent else asked)
    if outcome.auth:
        fields["auth"] = outcome.auth
    if outcome.principal is not None:
        fields["tenant"] = outcome.principal.tenant
        if outcome.principal.key:
            fields["key"] = outcome.principal.key
    if outcome.waited:
        fields["wait_ms"] = _milliseconds(outcome.waited)
    if outcome.first_content_at is not None:
        fields["first_content_ms"] = _milliseconds(outcome.first_content_at - call.started_at)
    if outcome.agent:
        fields["agent"] = outcome.agent
        fields["cache"] = outcome.cache
    if outcome.model or outcome.attempts:
        # Who answered and what that took; nothing, where the answer was there already.
        usage = outcome.usage
        fields["model"] = outcome.model
        fields["attempts"] = list(map(_attempt, outcome.attempts))
        fields["input_tokens"] = usage.input
        fields["output_tokens"] = usage.output
        fields["cost_nanousd"] = outcome.cost_nanousd
    if outcome.trace_ids:
        fields |= outcome.trace_ids
    return fields


def _why(reason: str, quota: Quota | None, asked: str) -> dict[str, object]:
    """Why a call did not end well: whom a limit denied, by which rule, and whom it was for."""
    fields: dict[str, object] = {"reason": reason}
    if quota is not None:
        fields["rule"], fields["subject"] = quota.rule, quota.subject
    if asked:
        fields["agent"] = asked
    return fields


def _attempt(attempt: Attempt) -> Mapping[str, object]:
    """One attempt; that of a call which left its work to others, or to its own return, may still be under way."""
    if attempt.ended_at is None:
        return {"model": attempt.model, "reason": UNDER_WAY}
    duration = _milliseconds(attempt.ended_at - attempt.started_at)
    return {"model": attempt.model, "reason": attempt.reason, "duration_ms": duration}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1e6) / 1000
