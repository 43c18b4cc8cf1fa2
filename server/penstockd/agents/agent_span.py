"""The span of an agent at work."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.trace import SpanKind

from penstockd import conventions as names
from penstockd.tracing import Trace, Within, fail, present

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
        with Within(span):
            yield
    except BaseException as error:
        fail(span, error)
        raise
    finally:
        span.end()
