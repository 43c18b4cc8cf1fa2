"""Frees what an error's traceback holds: the frames it came through, with all that they knew of their call."""

from penstockd.errors import PenstockError
from penstockd.upstream import UpstreamFailure

MOST = 100
"""Errors that came from each other, of which an agent may have made a ring."""

_OURS = (PenstockError, UpstreamFailure)


def let_go(error: BaseException, *others: type[BaseException]) -> None:
    """Drop the tracebacks of `error` and of what it came from, once nobody is to be told of them.

    A frame in there that holds the error is freed by a collection alone, and what it holds of a call, gRPC's own part
    too, waits for that. What is neither ours nor one of `others` keeps its own: somebody else may be raising it.
    """
    left = [error]
    for _ in range(MOST):
        if not left:
            return
        each = left.pop()
        if isinstance(each, (*_OURS, *others)):
            BaseException.with_traceback(each, None)
        origins = (each.__cause__, None if each.__context__ is each.__cause__ else each.__context__)
        left += [origin for origin in origins if origin is not None]
