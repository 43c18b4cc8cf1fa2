"""What every call is measured by, refusals included."""

from collections.abc import Iterable
from math import inf

from penstockd import conventions as names
from penstockd.call import Call
from penstockd.metrics.instruments import Instruments
from penstockd.outcome import Attempt, CacheStatus


class CallMetrics:
    """Measures each call once, when it has ended."""

    def __init__(self, instruments: Instruments) -> None:
        """Measure by the rpc conventions, and what they have no name for by ours."""
        self._duration = instruments.histogram(
            names.RPC_SERVER_CALL_DURATION,
            unit="s",
            description="Duration of calls, from arrival to their end.",
            labels=(names.RPC_SYSTEM_NAME, names.RPC_METHOD, names.RPC_RESPONSE_STATUS_CODE, names.ERROR_TYPE),
            bounds=names.CALL_SECONDS,
        )
        self._first_content = instruments.histogram(
            names.PENSTOCK_CALL_FIRST_CONTENT,
            unit="s",
            description="Time from a call's arrival to the first content for its caller.",
            labels=(names.RPC_METHOD,),
            bounds=names.CALL_SECONDS,
        )
        self._overhead = instruments.histogram(
            names.PENSTOCK_OVERHEAD,
            unit="s",
            description="Time of a call in Penstock itself, neither at a model nor waiting for one; "
            "of a stream, until its first content: the rest goes at its reader's pace.",
            labels=(names.RPC_METHOD,),
            bounds=names.OVERHEAD_SECONDS,
        )

    def ended(self, call: Call[object], *, code: str, error_type: str, duration: float) -> None:
        """Measure a call that took `duration` seconds; `error_type` is empty for one that went well."""
        outcome = call.outcome
        method = call.method.path[1:]
        self._duration.at["grpc", method, code, error_type].observe(duration)
        first = outcome.first_content_at
        if first is not None:
            self._first_content.at[method,].observe(first - call.started_at)
        # Who joined somebody else's call waited for that one's model, which is on no record of its own.
        if outcome.cache is not CacheStatus.COALESCED:
            until = first if first is not None and call.method.streams else call.started_at + duration
            away = _asking(outcome.attempts, until) + outcome.waited if outcome.attempts else outcome.waited
            self._overhead.at[method,].observe(max(0.0, until - call.started_at - away))


def _asking(attempts: Iterable[Attempt], until: float) -> float:
    """Seconds before `until` in which a model was being asked; attempts at the same time, as agents may make, are one.

    Attempts stand in the order in which they began.
    """
    total, counted_until = 0.0, -inf
    for attempt in attempts:
        if attempt.asked_at is not None:
            begin = max(attempt.asked_at, counted_until)
            end = until if attempt.answered_at is None or attempt.answered_at > until else attempt.answered_at
            if end > begin:
                total += end - begin
                counted_until = end
    return total
