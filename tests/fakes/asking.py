"""Asking a provider directly, and hearing what it sends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from penstockd.call import Call, Completed, Delta, Handler, Method, Reply
from penstockd.model import Model, Prompt
from penstockd.outcome import Attempt, Outcome
from penstockd.request import Parameters, Role, Turn
from penstockd.upstream import UpstreamFailure

PATIENCE = 10.0
"""Seconds after which a provider that a test asks is not going to answer."""
METHOD = Method("/penstock.v1.AgentService/ProcessStream", streams=True)


class NoRoute:
    """A route that leads nowhere: a provider does not look at it."""

    models: Sequence[Model] = ()

    def order(self, *, streams: bool) -> list[Model]:
        return []


@dataclass
class Heard:
    """What a provider has sent so far; `started` is set by the first reply, `thoughts` counts what was not sent."""

    deltas: list[str] = field(default_factory=list)
    completed: Completed | None = None
    attempt: Attempt = field(default_factory=lambda: Attempt(model="m", started_at=0.0))
    started: asyncio.Event = field(default_factory=asyncio.Event)
    thoughts: int = 0

    @property
    def text(self) -> str:
        """All deltas, joined."""
        return "".join(self.deltas)

    def think(self) -> None:
        """Be what a call tells of thoughts."""
        self.thoughts += 1

    async def take(self, reply: Reply) -> None:
        """Be what a call sends to: refuse what no provider may send."""
        assert self.completed is None, "nothing comes after Completed"
        if isinstance(reply, Completed):
            self.completed = reply
        else:
            assert isinstance(reply, Delta)
            assert reply.text, "a Delta is never empty"
            self.deltas.append(reply.text)
        self.started.set()


def prompt(
    *turns: Turn,
    streams: bool = False,
    instructions: str = "",
    parameters: Parameters | None = None,
    attempt: Attempt | None = None,
    reserve: float = 0.0,
) -> Prompt:
    """A prompt that says hello unless `turns` say more."""
    return Prompt(
        instructions=instructions,
        turns=turns or (Turn(Role.USER, "hello"),),
        parameters=parameters or Parameters(max_output_tokens=100),
        route=NoRoute(),
        streams=streams,
        attempt=attempt or Attempt(model="m", started_at=0.0),
        reserve=reserve,
    )


def model_call(
    request: Prompt, send: Callable[[Reply], Awaitable[None]], *, expires_at: float = float("inf")
) -> Call[Prompt]:
    """A call of a model with `request`."""
    return Call(method=METHOD, request=request, send=send, outcome=Outcome(), started_at=0.0, expires_at=expires_at)


async def ask(
    provider: Handler[Prompt],
    *turns: Turn,
    streams: bool = False,
    instructions: str = "",
    parameters: Parameters | None = None,
    heard: Heard | None = None,
) -> Heard:
    """Ask `provider` and return what it said; give `heard` to know it even if asking fails."""
    heard = heard or Heard()
    request = prompt(*turns, streams=streams, instructions=instructions, parameters=parameters, attempt=heard.attempt)
    async with asyncio.timeout(PATIENCE):
        await provider(model_call(replace(request, thought=heard.think), heard.take))
    return heard


async def failed(provider: Handler[Prompt], *, streams: bool = False) -> UpstreamFailure:
    """Ask, and return the failure that must come of it."""
    with pytest.raises(UpstreamFailure) as failure:
        await ask(provider, streams=streams)
    return failure.value
