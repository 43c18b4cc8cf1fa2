"""The span of an agent at work."""

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.trace import SpanKind, Status, StatusCode

from penstockd import conventions as names
from penstockd.errors import PenstockError
from penstockd.tracing import Trace, present, within

_UNTRACED = nullcontext()


def agent_span(agent: str) -> AbstractContextManager[None]:
    """Trace, if the call is sampled, what `agent` does in the block."""
    trace = present()
    return _UNTRACED if trace is None else _agent_span(trace, agent)


@contextmanager
def _agent_span(trace: Trace, agent: str) -> Iterator[None]:
    attributes = {names.GEN_AI_OPERATION_NAME: names.INVOKE_AGENT, names.GEN_AI_AGENT_NAME: agent}
    span = trace.begin(f"{names.INVOKE_AGENT} {agent}", SpanKind.INTERNAL, attributes)
    try:
        with within(span):
            yield
    except CancelledError:
        span.set_attribute(names.PENSTOCK_REASON, names.CANCELLED)
        raise
    except BaseException as error:
        reason = error.reason if isinstance(error, PenstockError) else type(error).__name__
        span.set_attribute(names.ERROR_TYPE, reason)
        span.set_status(Status(StatusCode.ERROR, reason))
        raise
    finally:
        span.end()
