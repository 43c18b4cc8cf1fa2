"""Gives a kept answer again: a stream of it in natural pieces, at full speed."""

from collections.abc import Iterator

from penstockd import conventions as names
from penstockd.answers import Answer
from penstockd.call import Call, Completed, Delta
from penstockd.outcome import CacheStatus
from penstockd.request import Request
from penstockd.tracing import present

PIECE = 256
"""Characters of a piece, which then goes on to the end of its last word."""
LONGEST_PIECE = 1024
"""Characters of a piece where no word ends: some languages write without spaces."""


async def replay(answer: Answer, call: Call[Request]) -> None:
    """Reply with `answer`, which used nothing."""
    call.outcome.cache = CacheStatus.HIT
    call.outcome.agent, call.outcome.model = call.request.agent, answer.model
    if trace := present():
        trace.note(names.CACHE_EVENT, {names.PENSTOCK_CACHE_STATUS: CacheStatus.HIT})
    texts = pieces(answer.text) if call.method.streams else filter(None, [answer.text])
    for text in texts:
        await call.send(Delta(text))
    await call.send(Completed(finish_reason=answer.finish_reason))


def pieces(text: str) -> Iterator[str]:
    """Cut `text` at spaces into pieces of about PIECE characters; joined they are `text`."""
    start = 0
    while start < len(text):
        longest = start + LONGEST_PIECE
        space = text.find(" ", start + PIECE, longest)
        end = longest if space == -1 else space
        yield text[start:end]
        start = end
