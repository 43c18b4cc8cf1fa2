"""Both kinds of provider over HTTP, each with what its upstream says, so that what holds for one is asked of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fakes import answers
from penstockd.clock import SystemClock
from penstockd.models.providers.anthropic import anthropic
from penstockd.models.providers.chat import Chat
from penstockd.models.providers.openai import openai
from penstockd.models.providers.wire import Target
from penstockd.usage import Usage


class Render(Protocol):
    """Writes a whole answer."""

    def __call__(self, text: str, usage: Usage | None = None, ending: str = ...) -> bytes: ...


class RenderEvents(Protocol):
    """Writes a streamed answer."""

    def __call__(self, pieces: Sequence[str], usage: Usage | None = None, ending: str = ...) -> list[bytes]: ...


@dataclass(frozen=True)
class Kind:
    """One kind of provider; `usage` has what it can report, `last` is its final event."""

    name: str
    provider: Callable[[Target], Chat]
    path: str
    answer: Render
    events: RenderEvents
    error: bytes
    usage: Usage

    @property
    def last(self) -> bytes:
        """The event that makes a stream whole."""
        return self.events(())[-1]


OPENAI = Kind(
    name="openai",
    provider=lambda target: openai(target, model="gpt", clock=SystemClock(), max_tokens_field=None, body={}),
    path="/chat/completions",
    answer=answers.openai_answer,
    events=answers.openai_events,
    error=b'data: {"error": {"message": "Overloaded", "type": "overloaded_error", "code": null}}\n\n',
    usage=Usage(uncached_input=7, cached_input=5, output=11, reasoning=3),
)
ANTHROPIC = Kind(
    name="anthropic",
    provider=lambda target: anthropic(target, model="claude", clock=SystemClock(), body={}),
    path="/v1/messages",
    answer=answers.anthropic_answer,
    events=answers.anthropic_events,
    error=answers.anthropic_event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    usage=Usage(uncached_input=7, cached_input=5, cache_write_input=2, output=11),
)
KINDS = (OPENAI, ANTHROPIC)


class Provide(Protocol):
    """Makes a provider of a kind that asks the test's upstream, unless `target` says otherwise."""

    def __call__(self, kind: Kind, **target: str | float | Mapping[str, str]) -> Chat: ...
