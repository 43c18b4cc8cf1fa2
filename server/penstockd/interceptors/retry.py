"""The only retry loop in the process: failover is retry on the next model."""

from penstockd.call import Call, Handler
from penstockd.clock import Clock
from penstockd.interceptors.attempts.attempt_span import traced
from penstockd.interceptors.attempts.trial import Trial
from penstockd.logs.log import Log
from penstockd.metrics.attempt_metrics import AttemptMetrics
from penstockd.model import Model, Prompt
from penstockd.resilience.backoff import Backoff
from penstockd.tracing import present
from penstockd.upstream import PassedOver, QuotaSpent, UpstreamFailure


class Retry:
    """Tries each usable model of the route once, then repeats with backoff, until one answers or it cannot help.

    Nothing is tried again once the first content was handed to the caller: that is the commit point.
    """

    def __init__(self, *, clock: Clock, backoff: Backoff, max_attempts: int, metrics: AttemptMetrics, log: Log) -> None:
        """Make at most `max_attempts` attempts in all for one prompt."""
        self._clock = clock
        self._backoff = backoff
        self._max_attempts = max_attempts
        self._metrics = metrics
        self._log = log

    async def __call__(self, call: Call[Prompt], proceed: Handler[Prompt]) -> None:
        """Proceed once per attempt; raise what the last one means for the caller when none answered."""
        trial = Trial(
            call,
            clock=self._clock,
            backoff=self._backoff,
            max_attempts=self._max_attempts,
            told_of_wait=self._metrics.waited,
        )
        while True:
            choice = await trial.next()
            try:
                asked, trace = choice.call(), present()
                await (proceed(asked) if trace is None else traced(trace, choice, asked, proceed))
            except PassedOver:
                trial.passed_over(choice)
            except UpstreamFailure as failure:
                self._tell(call, choice.model, failure)
                trial.failed(choice, failure, is_last=is_repeated_by_the_client(call))
            except BaseException as error:
                choice.abandon(error)
                raise
            else:
                choice.deposit()
                return
            finally:
                choice.end()
                self._metrics.ended(call, choice.model, choice.attempt)

    def _tell(self, call: Call[Prompt], model: Model, failure: UpstreamFailure) -> None:
        """Let operators know what they may have to mend."""
        if failure.is_callers_affair:
            return
        # No circuit opens for want of money, to tell of what nobody but an operator mends.
        write = self._log.error if isinstance(failure, QuotaSpent) else self._log.warning
        write(
            "an attempt failed",
            model=model.name,
            reason=failure.reason,
            error=failure.account,
            **call.outcome.log_fields,
        )


def is_repeated_by_the_client(call: Call[Prompt]) -> bool:
    """Whether the client's own retries brought this call: two retry loops would multiply."""
    earlier = call.metadata.values("grpc-previous-rpc-attempts")
    return bool(earlier) and earlier != ["0"]
