"""Counts of tokens that are odd in an answer that is otherwise good."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fakes.faults import PIECES, TEXT
from fakes.providers import Kind
from fakes.upstream import LAST_CHUNK, STREAM_HEAD, Script, chunk, response
from penstockd.usage import Usage


@dataclass(frozen=True, kw_only=True)
class OddUsage:
    """An otherwise good answer that counts its tokens in some odd way, which may leave the counting to us."""

    name: str
    usage: Callable[[Kind], Usage | None]
    is_doubled: bool = False
    is_estimated: bool = True

    def __str__(self) -> str:
        return self.name

    def steps(self, kind: Kind, *, streams: bool) -> Script:
        """The whole answer."""
        usage = self.usage(kind)
        if not streams:
            return (response(kind.answer(TEXT, usage)),)
        times = 2 if self.is_doubled else 1
        events = [event * (times if b'"usage"' in event else 1) for event in kind.events(PIECES, usage)]
        return (STREAM_HEAD, *map(chunk, events), LAST_CHUNK)


ODDITIES: Final = (
    OddUsage(name="missing", usage=lambda kind: None),
    OddUsage(name="zero", usage=lambda kind: Usage()),
    OddUsage(name="negative", usage=lambda kind: Usage(uncached_input=-7, output=-11)),
    OddUsage(name="twice", usage=lambda kind: kind.usage, is_doubled=True, is_estimated=False),
)
